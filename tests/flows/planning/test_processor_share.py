"""The share of this machine's processors that a job gets."""

from __future__ import annotations

import os

import pytest
from prefect_vertex_training.flows.planning.processor_share import THREADS, thread_variables


def test_jobs_that_run_at_once_share_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """At least one thread each; a job alone has them all, which needs no variable."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)

    assert thread_variables(1) == {}
    assert thread_variables(3) == {THREADS: "2"}
    assert thread_variables(20) == {THREADS: "1"}
