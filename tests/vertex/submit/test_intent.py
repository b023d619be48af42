"""The record before a create: durable and readable by the next attempt, or an error."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from fixtures.google.scripted_vertex import TinyVertex
from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.core.errors import StorageError
from prefect_vertex_training.vertex.client.connection import Connection
from prefect_vertex_training.vertex.job_types import JobRequest
from prefect_vertex_training.vertex.submit.intent import IntentFile, intent_text, intent_time
from prefect_vertex_training.vertex.submit.submission import job_key, submit


@given(at=st.floats(0, 4e9), now=st.floats(0, 4e9))
def test_the_time_comes_back_and_is_never_in_the_future(at: float, now: float) -> None:
    """A clock that was set back must not make anyone wait longer than the settle window."""
    found = intent_time(intent_text("k", at), now)

    assert found <= now
    assert found == pytest.approx(min(at, now), abs=0.001)


@given(text=st.text())
def test_any_text_gives_a_time(text: str) -> None:
    """A damaged record is never an error, and never a time in the future."""
    assert intent_time(text, 1000.0) <= 1000.0


def test_nothing_recorded_is_long_ago() -> None:
    """Without a record there is nothing to wait for."""
    assert intent_time(None, 1e9) == 0.0


def test_a_file_keeps_the_last_intent(tmp_path: Path) -> None:
    """Read by another object of the same folder and key; other keys see nothing."""
    IntentFile(tmp_path / "intents", "k").record("first")
    IntentFile(tmp_path / "intents", "k").record("second")

    assert IntentFile(tmp_path / "intents", "k").read() == "second"
    assert IntentFile(tmp_path / "intents", "other").read() is None


def test_a_full_disk_creates_no_job(
    connection: Connection,
    vertex: TinyVertex,
    request_: JobRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An intent that can't be kept is an error before the create, and leaves no half-written file."""

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    intent = IntentFile(tmp_path / "intents", "k")

    with pytest.raises(StorageError, match="no space left"):
        submit(connection, request_, job_key("full"), record=intent.record)

    assert vertex.jobs() == []
    assert list((tmp_path / "intents").iterdir()) == []
