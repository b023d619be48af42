"""Secrets of a build reach the step that mounts them, in a real engine, and stay nowhere."""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest
from prefect_vertex_training.core.errors import DockerError
from prefect_vertex_training.images.docker.docker_build import build
from prefect_vertex_training.images.docker.dockerfile_parse import SecretMount, secret_mounts


def test_a_step_has_its_secrets_and_the_image_has_none(docker_engine: Any, docker_base: str, request_of: Any) -> None:
    """By its file, also one of many bytes and an empty one; what isn't given is left out; nothing of it is kept."""
    marker, large = uuid4().hex, uuid4().bytes * 20_000
    dockerfile = f"""\
        FROM {docker_base}
        ENV NOT_CACHED={uuid4().hex}
        RUN --mount=type=secret,id=index,target=/etc/pip.conf,required=true \\
            --mount=type=secret,id=large --mount=type=secret,id=none --mount=type=secret,id=empty \\
            sha256sum /etc/pip.conf && wc -c /run/secrets/*
    """
    lines: list[str] = []
    image = build(
        request_of({"train.py": "", "Dockerfile": dockerfile}, labels={"n": marker}),
        engine=docker_engine,
        tag="secret",
        log=lines.append,
        secrets={"index": marker.encode(), "large": large, "empty": b""},
    )

    said = [line.split() for line in lines]
    assert [sha256(marker.encode()).hexdigest(), "/etc/pip.conf"] in said
    assert ["0", "/run/secrets/empty"] in said
    assert [str(len(large)), "/run/secrets/large"] in said
    assert not any("/run/secrets/none" in words for words in said)
    words = ["sh", "-c", "cat /etc/pip.conf /run/secrets/* 2>/dev/null; true"]
    assert docker_engine.containers.run(image.digest, words, remove=True) == b""
    assert not [entry for entry in docker_engine.images.get(image.digest).history() if marker in entry["CreatedBy"]]


def test_a_required_secret_that_is_not_given(docker_engine: Any, docker_base: str, request_of: Any) -> None:
    """The engine refuses the step; one line names it."""
    step = "RUN --mount=type=secret,id=index,required=true true"
    request = request_of({"train.py": "", "Dockerfile": f"FROM {docker_base}\n{step}\n"})
    with pytest.raises(DockerError, match=r"secret index.* not found \(Dockerfile line 2: ") as caught:
        build(request, engine=docker_engine, tag="secret", log=lambda _: None)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("required", "message"), [("", ""), (",required=true", "requires an ssh agent, which a build doesn't get here")]
)
def test_an_ssh_agent_is_not_given(
    docker_engine: Any, docker_base: str, request_of: Any, required: str, message: str
) -> None:
    """A step runs without it, as with Docker, unless it requires one."""
    dockerfile = (
        f'FROM {docker_base}\nRUN --mount=type=ssh{required} test ! -S "$SSH_AUTH_SOCK" && echo {uuid4().hex}\n'
    )
    request = request_of({"train.py": "", "Dockerfile": dockerfile})
    lines: list[str] = []
    if message:
        with pytest.raises(DockerError, match=message):
            build(request, engine=docker_engine, tag="ssh", log=lines.append)
    else:
        assert build(request, engine=docker_engine, tag="ssh", log=lines.append).digest


@pytest.mark.parametrize(
    ("text", "mounts"),
    [
        ("RUN --mount=type=secret,id=a true", [SecretMount(1, "a", False)]),
        ("RUN --mount=type=secret,target=/run/.netrc,required x", [SecretMount(1, ".netrc", True)]),
        (
            "FROM x\nrun --mount=type=cache,target=/c \\\n  --mount=type=secret,src=b,required=false x",
            [SecretMount(2, "b", False)],
        ),
        ("RUN echo --mount=type=bind,from=a", []),
        (
            "RUN --mount=id=a,type=secret --mount=type=secret,id=b x",
            [SecretMount(1, "a", False), SecretMount(1, "b", False)],
        ),
        ("COPY x --mount=type=secret,id=a", []),
    ],
)
def test_mounted_secrets_are_found(text: str, mounts: list[SecretMount]) -> None:
    """By their id, or what stands for it."""
    assert secret_mounts(text) == mounts
