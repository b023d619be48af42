"""The notes by which the hook after a cancelled run knows whether a job may be left."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect_vertex_training.tasks.stopping.open_jobs import OpenJobs

JOB, OTHER = "projects/1/locations/x/customJobs/2", "projects/1/locations/x/customJobs/3"


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenJobs:
    """The notes of a run, in a home of their own."""
    monkeypatch.setenv("VERTEX_TRAINING_HOME", str(tmp_path))
    return OpenJobs("run")


def test_the_hook_looks_unless_every_job_was_asked_to_end(notes: OpenJobs) -> None:
    """A run without notes, a job that was created and one whose create is under way: the hook has to look."""
    assert not notes.take_none_left()
    notes.add("key")
    assert not notes.take_none_left()
    notes.rename("key", JOB)
    notes.add("another key")
    notes.rename("another key", OTHER)
    notes.stopped(JOB)
    assert not notes.take_none_left()
    notes.stopped(OTHER)
    assert notes.take_none_left()
    assert not notes.take_none_left()  # what was true once says nothing of a retry


def test_a_retry_that_submits_a_job_is_looked_for(notes: OpenJobs) -> None:
    """Even if the hook of the cancelled attempt was never called."""
    notes.add(JOB)
    notes.stopped(JOB)
    notes.add("key")

    assert not notes.take_none_left()


def test_a_run_that_ended_by_itself_leaves_no_notes(notes: OpenJobs, tmp_path: Path) -> None:
    """Nothing piles up in the home."""
    notes.add(JOB)
    notes.ended(JOB)

    assert list(tmp_path.rglob("run")) == []
