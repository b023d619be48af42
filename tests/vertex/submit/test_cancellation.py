"""Ending jobs: as often as one likes, and sure that they ended."""

from __future__ import annotations

import json

import grpc
import pytest
from fixtures.google.scripted_vertex import Clock, TinyVertex
from google.cloud.aiplatform_v1 import JobState
from prefect_vertex_training.core.errors import LocalServiceError, VertexError, VertexUnavailable
from prefect_vertex_training.vertex.client.connection import Connection
from prefect_vertex_training.vertex.submit.cancellation import cancel, cancel_by_key
from prefect_vertex_training.vertex.submit.submission import job_key

KEY = job_key("to cancel")


def test_a_live_job_ends(connection: Connection, vertex: TinyVertex, clock: Clock) -> None:
    """The state that comes back is the confirmed one."""
    job = vertex.add()

    assert cancel(connection, job.name, clock=clock, sleep=clock.sleep) == "JOB_STATE_CANCELLED"


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED", "CANCELLED"])
def test_an_ended_job_is_left_alone(connection: Connection, vertex: TinyVertex, state: str) -> None:
    """Cancelling again changes nothing and is no error."""
    job = vertex.add(state=JobState[f"JOB_STATE_{state}"])

    assert f"JOB_STATE_{state}" == cancel(connection, job.name)
    assert "cancel" not in vertex.calls


def test_a_slow_end_is_waited_for(connection: Connection, vertex: TinyVertex, clock: Clock) -> None:
    """CANCELLING is not the end."""
    job = vertex.add(state=JobState.JOB_STATE_CANCELLING)

    def tick() -> None:
        if len(clock.slept) == 4:
            job.state = JobState.JOB_STATE_CANCELLED

    clock.on_sleep = tick

    assert cancel(connection, job.name, clock=clock, sleep=clock.sleep) == "JOB_STATE_CANCELLED"
    assert len(clock.slept) == 4


def test_an_end_that_does_not_come_is_a_transient_error(
    connection: Connection, vertex: TinyVertex, clock: Clock
) -> None:
    """The error says that the job still costs."""
    job = vertex.add(state=JobState.JOB_STATE_CANCELLING)

    with pytest.raises(VertexUnavailable, match="still JOB_STATE_CANCELLING"):
        cancel(connection, job.name, wait=60, clock=clock, sleep=clock.sleep)

    assert 60 <= sum(clock.slept) <= 66


def test_a_job_that_ends_by_itself_meanwhile(connection: Connection, vertex: TinyVertex, clock: Clock) -> None:
    """The cancel is refused because the job has just ended: its state is read again."""
    job = vertex.add()
    vertex.refusals = {"cancel": [grpc.StatusCode.FAILED_PRECONDITION]}

    def tick() -> None:
        job.state = JobState.JOB_STATE_SUCCEEDED

    clock.on_sleep = tick

    assert cancel(connection, job.name, clock=clock, sleep=clock.sleep) == "JOB_STATE_SUCCEEDED"


def test_no_answer_is_asked_again(connection: Connection, vertex: TinyVertex, clock: Clock) -> None:
    """A burst of UNAVAILABLE does not leave the job running."""
    job = vertex.add()
    vertex.refusals = {"cancel": [grpc.StatusCode.UNAVAILABLE] * 4}

    assert cancel(connection, job.name, clock=clock, sleep=clock.sleep) == "JOB_STATE_CANCELLED"


def test_without_waiting_one_request_is_sent(connection: Connection, vertex: TinyVertex, clock: Clock) -> None:
    """For the few seconds a dying process has."""
    job = vertex.add()
    cancel(connection, job.name, wait=0, clock=clock, sleep=clock.sleep)

    assert vertex.calls == ["get", "cancel"]
    assert vertex.live() == []


def test_without_waiting_no_answer_is_an_error_within_seconds(
    connection: Connection, vertex: TinyVertex, clock: Clock
) -> None:
    """A dying process has no ten minutes."""
    job = vertex.add()
    vertex.refusals = {"get": [grpc.StatusCode.UNAVAILABLE] * 100}

    with pytest.raises(LocalServiceError):
        cancel(connection, job.name, wait=0, clock=clock, sleep=clock.sleep)

    assert sum(clock.slept) <= 15


def test_a_cancel_that_is_not_allowed_says_so(connection: Connection, vertex: TinyVertex) -> None:
    """A missing permission is not mistaken for a job that has ended."""
    job = vertex.add()
    vertex.refusals = {"cancel": [grpc.StatusCode.PERMISSION_DENIED]}

    with pytest.raises(VertexError, match="has no permission to cancel"):
        cancel(connection, job.name)


def test_by_key_every_live_job_ends(connection: Connection, vertex: TinyVertex, clock: Clock) -> None:
    """A hook that knows the key alone ends all of its jobs, no other's, and may run again."""
    jobs = [vertex.add(KEY), vertex.add(KEY, JobState.JOB_STATE_SUCCEEDED), vertex.add(KEY, JobState.JOB_STATE_RUNNING)]
    stranger = vertex.add(job_key("another"))

    states = [job.state for job in cancel_by_key(connection, KEY, clock=clock, sleep=clock.sleep)]
    again = [job.state for job in cancel_by_key(connection, KEY, clock=clock, sleep=clock.sleep)]

    assert ["JOB_STATE_CANCELLED", "JOB_STATE_SUCCEEDED", "JOB_STATE_CANCELLED"] == states == again
    assert [stranger.name] == [job.name for job in vertex.live()]
    assert len(jobs) == 3


def test_by_key_an_unlisted_job_is_waited_for(connection: Connection, vertex: TinyVertex, clock: Clock) -> None:
    """A job created a moment before the cancel, not listed yet, does not escape when its intent is known."""
    vertex.add(KEY, lag=40)
    intent = json.dumps({"key": KEY, "at": clock()})

    cancel_by_key(connection, KEY, recorded=intent, clock=clock, sleep=clock.sleep)

    assert vertex.live() == []


def test_by_key_nothing_to_cancel_is_nothing_to_wait_for(
    connection: Connection, vertex: TinyVertex, clock: Clock
) -> None:
    """A hook of a run that never came to its job returns at once."""
    assert cancel_by_key(connection, KEY, clock=clock, sleep=clock.sleep) == []
    assert clock.slept == []
