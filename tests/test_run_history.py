"""Whose retry a flow run is, from the histories of states that a real Prefect server recorded."""

from __future__ import annotations

import pytest
from prefect.client.schemas.objects import State, StateType
from prefect_vertex_training.run_history import retries_by_person

FIRST = ["SCHEDULED/Scheduled", "PENDING", "RUNNING"]
HISTORIES = {
    "the first execution": (FIRST, 0),
    "an automatic retry of the flow": ([*FIRST, "SCHEDULED/AwaitingRetry", "RUNNING/Retrying"], 0),
    "an engine that was started again": ([*FIRST, "PENDING", "RUNNING"], 0),
    "a lost worker's run, scheduled again by an automation": ([*FIRST, "SCHEDULED/AwaitingRetry", "RUNNING"], 0),
    "Retry in the UI": ([*FIRST, "FAILED", "SCHEDULED/AwaitingRetry", "PENDING", "RUNNING/Retrying"], 1),
    "the command": ([*FIRST, "FAILED", "SCHEDULED/Scheduled", "PENDING", "RUNNING/Rerunning"], 1),
    "after a crash, late": ([*FIRST, "CRASHED", "SCHEDULED/AwaitingRetry", "SCHEDULED/Late", "PENDING", "RUNNING"], 1),
    "after a cancel": ([*FIRST, "CANCELLING", "CANCELLED", "SCHEDULED/AwaitingRetry", "RUNNING"], 1),
    "Retry, then a lost worker": ([*FIRST, "FAILED", "SCHEDULED/AwaitingRetry", "RUNNING", "PENDING", "RUNNING"], 1),
    "twice": ([*FIRST, *["FAILED", "SCHEDULED/AwaitingRetry", "PENDING", "RUNNING"] * 2], 2),
    "after a success": ([*FIRST, "COMPLETED", "SCHEDULED/AwaitingRetry", "RUNNING"], 1),
    # No job can exist before a run has begun, and Prefect doesn't count such a retry either.
    "before it ever began": (["SCHEDULED/Scheduled", "CRASHED", "SCHEDULED/AwaitingRetry", "PENDING", "RUNNING"], 0),
}


@pytest.mark.parametrize("what", HISTORIES)
def test_a_person_is_told_from_prefect(what: str) -> None:
    """Only a scheduled state right after a final one is a person's doing."""
    history, expected = HISTORIES[what]
    states = [State(type=StateType(kind), name=name or None) for kind, _, name in (s.partition("/") for s in history)]

    assert retries_by_person(states) == expected
