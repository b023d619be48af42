"""What a job is told that it resumes from, over attempts, regions and runs."""

from __future__ import annotations

from pathlib import Path

from prefect_vertex_training.vertex.client.connection import Connection
from prefect_vertex_training.vertex.job_types import JobRequest
from prefect_vertex_training.vertex.receipt.resumed_variable import NAME, decode
from prefect_vertex_training.vertex.resume.checkpoint_copy import checkpoints_of
from prefect_vertex_training.vertex.resume.earlier_run import EarlierRun
from prefect_vertex_training.vertex.resume.resume_point import with_resume_point

OLD = "gs://bucket/tiny/old"


def save(connection: Connection, output: str, path: str, text: str = "1") -> Path:
    """Saves a checkpoint."""
    file = Path(connection.models.location(f"{output}/checkpoints")) / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_a_job_that_begins_anew(connection: Connection, request_: JobRequest) -> None:
    """Without checkpoints the request stays as it is."""
    assert with_resume_point(connection, request_, None, print) is request_


def test_an_attempt_finds_what_is_there(connection: Connection, request_: JobRequest) -> None:
    """The variable names folder, number, bytes and the newest file, and holds no dollar sign."""
    save(connection, request_.output, "step-2.pt", "22")
    save(connection, request_.output, "step-$(X).pt", "1")
    lines: list[str] = []
    variables = with_resume_point(connection, request_, None, lines.append).env

    assert "$" not in variables[NAME]
    assert decode(variables) == {
        "from": f"{request_.output}/checkpoints",
        "files": 2,
        "bytes": 3,
        "newest": "step-$(X).pt",
    }
    assert len(lines) == 1
    assert lines[0].startswith("the script finds 2 files, 0.0 MB, the newest step-$(X).pt in ")


def test_another_run_is_copied_once(connection: Connection, request_: JobRequest) -> None:
    """What the new run's jobs remove or write later isn't undone by a retry."""
    for path in ("a.pt", "b.pt"):
        save(connection, OLD, path, "old")
    earlier = EarlierRun("old", OLD, checkpoints_of(connection.models, OLD))
    told = decode(with_resume_point(connection, request_, earlier, print).env)
    assert (told["run"], told["copied_from"], told["files"]) == ("old", f"{OLD}/checkpoints", 2)

    save(connection, request_.output, "b.pt", "new").with_name("a.pt").unlink()
    save(connection, OLD, "c.pt")
    told = decode(with_resume_point(connection, request_, earlier, print).env)
    assert (told["files"], told["newest"]) == (1, "b.pt")
