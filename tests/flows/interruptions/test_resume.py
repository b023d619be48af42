"""Checkpoints over preemptions, attempts, retries and runs, in the whole train flow."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from fixtures.projects.resuming_script import write_resuming_project
from prefect_vertex_training.core.errors import VertexError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.flows.train import train
from prefect_vertex_training.local_vertex import lifecycle
from prefect_vertex_training.local_vertex.client import set_faults

pytestmark = pytest.mark.prefect


@pytest.fixture
def resuming(tmp_path: Path) -> Path:
    """A project that resumes, started again after preemptions."""
    folder = tmp_path / "long"
    write_resuming_project(folder, 'strategy = "SPOT"\nrestarts = "job"\nattempts = 15\nverify = "off"')
    return folder


def checkpoints(model: str) -> dict[str, bytes]:
    """The files in the checkpoint folder beside a model."""
    folder = Path(model).parent / "checkpoints"
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def first_steps(caplog: pytest.LogCaptureFixture) -> list[int]:
    """The step at which each start of the script began."""
    return [int(step) for record in caplog.records for step in re.findall(r"first step (\d+)", record.getMessage())]


def test_preempted_three_times(home: Home, resuming: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each later start goes on behind the steps before it, and the end is that of an undisturbed run."""
    args = ["--steps", "150", "--seconds", "0.04"]
    set_faults(lifecycle.ensure_running(home), {"preempt": 3, "preempt_after_seconds": 1.2})
    disturbed = train(resuming, args=args)
    starts = first_steps(caplog)
    undisturbed = train(resuming, args=[*args[:2], "--seconds", "0"])

    assert len(starts) == 4
    assert starts[0] == 0 < starts[1] < starts[2] < starts[3]
    assert Path(disturbed.model, "model.json").read_bytes() == Path(undisturbed.model, "model.json").read_bytes()
    assert disturbed.metrics["loss"].last == undisturbed.metrics["loss"].last


def test_another_run_takes_the_checkpoints_up(home: Home, resuming: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The new run begins where the old one ended, whose files stay as they are; the receipt names what it was."""
    old = train(resuming, args=["--steps", "5"])
    before = checkpoints(old.model)
    run = Path(old.model).parent.name
    caplog.clear()
    new = train(resuming, args=["--steps", "8"], resume=run[:13])

    assert first_steps(caplog) == [5]
    assert json.loads(Path(new.model, "model.json").read_text())["step"] == 8
    assert checkpoints(old.model) == before
    resumed = json.loads(Path(new.receipt).read_text())["resumed"]
    assert (resumed["run"], resumed["newest"], resumed["files"]) == (run, "last.json", 1)
    assert resumed["copied_from"].endswith(f"{run}/checkpoints")
    assert resumed["from"].endswith(f"{Path(new.model).parent.name}/checkpoints")
    assert "resumed" not in json.loads(Path(old.receipt).read_text())


def test_what_can_not_be_resumed(home: Home, resuming: Path, tmp_path: Path) -> None:
    """Another project's run, a run without checkpoints and an unknown run are one line each."""
    other = tmp_path / "other"
    write_resuming_project(other, 'verify = "off"')
    old = train(other, args=["--steps", "2"])
    without = train(resuming, args=["--steps", "2", "--no-checkpoint"])
    runs = [Path(result.model).parent.name for result in (old, without)]

    with pytest.raises(VertexError, match=r"trained other, and this is long: its checkpoints are of another model"):
        train(resuming, resume=runs[0])
    with pytest.raises(VertexError, match="another model"):
        train(resuming, resume=str(Path(old.model).parent))
    with pytest.raises(VertexError, match="has no checkpoints to resume from"):
        train(resuming, resume=runs[1])
    with pytest.raises(VertexError, match="there is no such run on this machine"):
        train(resuming, resume="00000000-nothing")
