"""The second start in the local run: it continues from a checkpoint, or one line says that it doesn't."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fixtures.projects.resuming_script import write_resuming_project
from prefect_vertex_training.core.errors import VerifyError
from prefect_vertex_training.project.files.listing import list_files
from prefect_vertex_training.project.local_run.rehearsal.restart import CheckpointWatch, check_continued
from prefect_vertex_training.project.local_run.verify import VerifyReport, verify
from prefect_vertex_training.project.settings.settings import load


@pytest.fixture
def twice(tmp_path: Path) -> Any:
    """Verifies the resuming project with a second start; the lines are in `twice.lines`."""

    def start(*args: str) -> VerifyReport:
        root = tmp_path / "long"
        start.lines = []
        words = json.dumps([*args, "--seconds", "0.05"])
        write_resuming_project(root, f"verify-resume = true\nverify-args = {words}")
        settings = load(root)
        return verify(root, list_files(root, settings), settings, [], cache=tmp_path / "cache", log=start.lines.append)

    return start


def test_a_script_that_resumes(twice: Any) -> None:
    """It is stopped after its first checkpoint, long before its end, and goes on behind it."""
    report = twice("--steps", "60")

    assert report.resumed.startswith("continued from last.json at step ")
    starts = [int(line.rpartition(" ")[2]) for line in twice.lines if line.startswith("first step ")]
    assert starts[0] == 0 < starts[1] < 60
    assert any("sent SIGTERM; the script may take 30 s to end" in line for line in twice.lines)
    assert report.model_files == ("model.json",)


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("--ignore-checkpoint", "doesn't continue: its second start read no checkpoint, though last.json was there"),
        ("--begin-anew", "doesn't continue: its second start began at step 0 again"),
        ("--no-checkpoint", "saved no checkpoint in AIP_CHECKPOINT_DIR"),
    ],
)
def test_a_script_that_does_not(twice: Any, flag: str, text: str) -> None:
    """Without a checkpoint, without reading it, or without going on behind it: one line each."""
    with pytest.raises(VerifyError, match=text) as error:
        twice("--steps", "20", flag)

    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("first", "second", "fails"),
    [
        (["epoch 0 step 1", "epoch 0 step 2"], ["epoch 1 step 1"], False),
        (["epoch 1/3 loss 1"], ["epoch 1/3 loss 1", "epoch 2/3"], True),
        (["batch 32"], ["batch 32"], False),
        (['{"step": 1}'], ['{"step": 2}'], False),
        (["loss 1"], ["loss 0.5"], False),
    ],
)
def test_what_counts_as_going_on(tmp_path: Path, first: list[str], second: list[str], *, fails: bool) -> None:
    """Any count that begins later than before is enough; a number that never changes is a setting."""
    write_resuming_project(tmp_path)
    settings = load(tmp_path)
    if fails:
        with pytest.raises(VerifyError, match="again"):
            check_continued(settings, first, second, read=True, newest="a")
    else:
        assert check_continued(settings, first, second, read=True, newest="a").startswith("continued from a")


def test_a_file_that_grows_is_no_checkpoint_yet(tmp_path: Path) -> None:
    """Only what has the same size twice in a row counts, and an empty file never does."""
    watch = CheckpointWatch(tmp_path)
    (tmp_path / "empty").touch()
    assert not watch()
    for size in (1, 2):
        (tmp_path / "a.pt").write_bytes(b"x" * size)
        assert not watch()
    assert watch()
