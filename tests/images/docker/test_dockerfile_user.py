"""Which user of a Dockerfile's image can't write into the working directory."""

from __future__ import annotations

import pytest
from prefect_vertex_training.images.docker.dockerfile_user import ImageUser, user_without_folder

START = "FROM base\nWORKDIR /app\nCOPY . .\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{START}USER 1001", ImageUser("1001", 4)),
        (f"{START}USER trainer:group", ImageUser("trainer", 4)),
        (f"{START}ARG UID=1000\nUSER $UID", ImageUser("1000", 5)),
        (f"{START}USER root", None),
        (f"{START}USER 0:0", None),
        (START, None),
        (f"{START}USER 1001\nUSER root", None),
        (f"{START}RUN useradd me && chown -R me /app\nUSER me", None),
        (f"{START}RUN chmod -R a+rwX /app\nUSER 1001", None),
        ("FROM base\nCOPY --chown=me . /app\nUSER me", None),
        ("FROM base\nUSER me\nWORKDIR /app\nCOPY . .", None),
        ("FROM base AS Deps\nUSER me\nFROM deps\nCOPY . /app", ImageUser("me", 2)),
        ("FROM base AS deps\nUSER me\nFROM base\nCOPY . /app", None),
    ],
)
def test_the_user(text: str, expected: ImageUser | None) -> None:
    """Files that are copied belong to root, unless an instruction says otherwise; stages inherit."""
    assert user_without_folder(text, {}) == expected


def test_values_of_a_build_count() -> None:
    """`build-args` may choose root, and `build-target` another stage."""
    text = f"{START.replace('base', 'base AS run')}ARG UID=1000\nUSER ${{UID}}\nFROM run AS test\nUSER root\n"

    assert user_without_folder(text, {"UID": "0"}, "run") is None
    assert user_without_folder(text, {}, "RUN") == ImageUser("1000", 5)
    assert user_without_folder(text, {}) is None
