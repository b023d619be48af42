"""Step 1 beside its engine: what it warns of, what it says where nothing runs, and the image that it needs."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect import flow
from prefect.artifacts import Artifact
from prefect_vertex_training.core.errors import ProjectError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.project.settings.settings import load
from prefect_vertex_training.tasks.verify import ImageInEngine, leave_out, unwritable

NO_RIGHTS = "FROM base\nWORKDIR /app\nCOPY . .\nUSER trainer\n"


@pytest.mark.parametrize(
    ("dockerfile", "table", "written", "expected"),
    [
        (
            NO_RIGHTS,
            "",
            ("log.txt", "runs/"),
            r"writes log\.txt and 1 more.*USER trainer.*Dockerfile:4.*chown -R trainer",
        ),
        (NO_RIGHTS, "", ("out/",), r"writes out/ in its working directory"),
        (NO_RIGHTS, "", (), None),
        (NO_RIGHTS, 'builder = "direct"', ("log.txt",), None),
        ("FROM base\nCOPY . .\n", "", ("log.txt",), None),
        (None, "", ("log.txt",), None),
    ],
)
def test_what_the_user_of_an_image_cannot_write(
    tmp_path: Path, dockerfile: str | None, table: str, written: tuple[str, ...], expected: str | None
) -> None:
    """One line with the first path, the line of the Dockerfile and the instruction to add; none where it can."""
    (tmp_path / "train.py").write_text("")
    (tmp_path / "pyproject.toml").write_text(f"[tool.vertex-training]\n{table}\n")
    if dockerfile:
        (tmp_path / "Dockerfile").write_text(dockerfile)
    project: Any = SimpleNamespace(root=tmp_path, settings=load(tmp_path))
    found = unwritable(project, written)

    assert (found is None) if expected is None else re.search(expected, found or "")


def test_an_image_of_layers_is_refused(tmp_path: Path) -> None:
    """It has no operating system that could run here; the message has the setting that does the same."""
    plan: Any = SimpleNamespace(builder="direct", request=SimpleNamespace(root=tmp_path))
    nothing: Any = None

    with pytest.raises(ProjectError, match=r'needs the project\'s own Dockerfile.*verify = "locked"'):
        ImageInEngine(lambda: plan, nothing).find(nothing, print)


@pytest.mark.prefect
def test_a_run_without_a_local_run_says_so(home: Home) -> None:
    """Whoever looks at the run later finds it among its artifacts."""

    @flow
    def run() -> None:
        leave_out()

    run()
    found = Artifact.get("training-verify")
    assert found is not None
    assert "left out" in str(found.data)
