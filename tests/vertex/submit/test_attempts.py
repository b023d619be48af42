"""One budget of attempts, counted from the service's list: retries and crashes don't exceed it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from fixtures.google.scripted_vertex import Clock, Fate, TinyVertex
from google.cloud.aiplatform_v1 import CustomJob, JobState
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.core.errors import VertexError
from prefect_vertex_training.vertex.client.connection import Connection
from prefect_vertex_training.vertex.job_types import JobRequest, SubmittedJob
from prefect_vertex_training.vertex.labels import ATTEMPT_LABEL, KEY_LABEL, REQUEST_LABEL, RETRY_LABEL
from prefect_vertex_training.vertex.submit.attempt_budget import jobs_allowed, starts_of_a_job
from prefect_vertex_training.vertex.submit.attempts import submit_attempt
from prefect_vertex_training.vertex.submit.intent import IntentFile

ENDINGS = {
    "user_code": (JobState.JOB_STATE_FAILED, 3, "The replica workerpool0-0 exited with a non-zero status of 1."),
    "out_of_memory": (JobState.JOB_STATE_FAILED, 8, "Replicas low on memory: workerpool0."),
    "time_limit": (JobState.JOB_STATE_EXPIRED, 4, ""),
    "stock_out": (JobState.JOB_STATE_FAILED, 8, "Resources are insufficient in region: x1."),
    "preempted": (JobState.JOB_STATE_FAILED, 14, "The replica workerpool0-0 was preempted."),
    "internal": (JobState.JOB_STATE_FAILED, 13, "Internal error occurred for the current attempt"),
    "cancelled": (JobState.JOB_STATE_CANCELLED, 1, "CANCELED"),
}
FINAL = ["user_code", "out_of_memory", "time_limit"]
OF_THE_PLATFORM = ["stock_out", "preempted", "internal"]


def end(job: CustomJob, how: str) -> None:
    """The job ends that way."""
    state, code, text = ENDINGS[how]
    job.state = state
    job.error = Status(code=code, message=text)


Submit = Callable[..., SubmittedJob]


@pytest.fixture
def submit(connection: Connection, request_: JobRequest, clock: Clock, tmp_path: Path) -> Submit:
    """Submits the attempt that is due, as a process that remembers nothing but its folder of intents."""

    def run(allowed: int = 3, least: int = 1, retry: int = 0) -> SubmittedJob:
        return submit_attempt(
            connection,
            request_,
            "t1",
            allowed=allowed,
            least=least,
            retry=retry,
            intent=lambda key: IntentFile(tmp_path / "intents", key),
            clock=clock,
            sleep=clock.sleep,
        )

    return run


def test_the_first_attempt_has_the_requests_own_key(submit: Submit, vertex: TinyVertex) -> None:
    """The request's key alone finds it; a second submit adopts it and creates no other."""
    first, again = submit(), submit()

    (job,) = vertex.jobs()
    assert (first.name, first.attempt, again.adopted) == (again.name, 1, True)
    labels = {KEY_LABEL: "t1", REQUEST_LABEL: "t1", ATTEMPT_LABEL: "1"}
    assert {key: job.labels[key] for key in labels} == labels


@pytest.mark.parametrize("how", OF_THE_PLATFORM)
def test_the_platforms_failures_get_another_attempt(submit: Submit, vertex: TinyVertex, how: str) -> None:
    """Each with a key of its own, up to what is allowed; then the last failure is the answer."""
    for number in (1, 2, 3):
        job = submit()
        assert (job.attempt, job.adopted) == (number, False)
        end(vertex.jobs()[-1], how)
    last = submit()

    assert (last.attempt, last.adopted, last.state) == (3, True, "JOB_STATE_FAILED")
    assert [job.labels[ATTEMPT_LABEL] for job in vertex.jobs()] == ["1", "2", "3"]
    assert len({job.labels[KEY_LABEL] for job in vertex.jobs()}) == 3


@pytest.mark.parametrize("how", FINAL)
def test_the_users_failures_are_not_paid_for_twice(submit: Submit, vertex: TinyVertex, how: str) -> None:
    """However often the run is taken up again without a person's doing."""
    submit()
    end(vertex.jobs()[0], how)

    assert [(submit().adopted, submit().attempt) for _ in range(3)] == [(True, 1)] * 3
    assert len(vertex.jobs()) == 1


def test_a_cancelled_attempt_is_taken_again(submit: Submit, vertex: TinyVertex) -> None:
    """A cancelled job is no failure: a retry of its run gets a new job for the same attempt."""
    submit()
    end(vertex.jobs()[0], "cancelled")

    assert (submit().attempt, len(vertex.jobs())) == (1, 2)


def test_a_success_is_the_answer(submit: Submit, vertex: TinyVertex) -> None:
    """Also of the second attempt."""
    submit()
    end(vertex.jobs()[0], "internal")
    submit()
    vertex.jobs()[1].state = JobState.JOB_STATE_SUCCEEDED

    assert (submit().adopted, submit().attempt, submit().state) == (True, 2, "JOB_STATE_SUCCEEDED")


def test_a_second_attempt_whose_answer_was_lost_is_one_job(submit: Submit, vertex: TinyVertex) -> None:
    """Exactly once holds for each attempt: the create was carried out, the answer lost, and lists lag by 20 s."""
    submit()
    end(vertex.jobs()[0], "stock_out")
    vertex.fates = [Fate(code=grpc.StatusCode.UNAVAILABLE, lag=20)]

    second, again = submit(), submit()

    assert (second.name, second.attempt) == (again.name, 2)
    assert len(vertex.jobs()) == 2


def test_an_attempt_known_to_have_failed_is_not_waited_for(submit: Submit, vertex: TinyVertex) -> None:
    """A job that failed before lists show it counts all the same."""
    vertex.fates = [Fate(lag=20)]
    submit()
    end(vertex.jobs()[0], "stock_out")

    assert submit(least=2).attempt == 2


@pytest.mark.parametrize("how", [*FINAL, "cancelled"])
def test_a_persons_retry_is_a_new_job(submit: Submit, vertex: TinyVertex, how: str) -> None:
    """Each retry makes one, and finds it whenever its work is taken up again; the jobs before it are counted."""
    submit()
    end(vertex.jobs()[0], how)

    for retry in (1, 2):
        made, again = submit(retry=retry), submit(retry=retry)
        end(vertex.jobs()[-1], "user_code")
        assert (made.adopted, made.attempt, again.name) == (False, 1, made.name)
        assert (made.failed, made.cancelled) == (retry - (how == "cancelled"), how == "cancelled")
        assert submit(retry=retry).name == made.name
    assert len(vertex.jobs()) == 3


def test_a_persons_retry_grants_one_more_start(submit: Submit, vertex: TinyVertex) -> None:
    """What the budget has left, and at least one job; the platform's failures don't make it two."""
    for retry, jobs in ((0, 2), (1, 1), (2, 1)):
        for _ in range(5):
            submit(2, retry=retry)
            end(vertex.jobs()[-1], "stock_out")
        assert [job.labels.get(RETRY_LABEL, "0") for job in vertex.jobs()].count(str(retry)) == jobs


@pytest.mark.parametrize("state", [JobState.JOB_STATE_RUNNING, JobState.JOB_STATE_SUCCEEDED])
def test_a_persons_retry_finds_a_job_that_lives_or_succeeded(
    submit: Submit, vertex: TinyVertex, state: JobState
) -> None:
    """Of whatever attempt it is; if it fails after all, the retry still has its own start."""
    submit()
    end(vertex.jobs()[0], "stock_out")
    second = submit()
    vertex.jobs()[1].state = state

    found = submit(retry=1)
    assert (found.name, found.adopted, found.attempt) == (second.name, True, 0)
    end(vertex.jobs()[1], "user_code")
    assert (submit(retry=1).attempt, len(vertex.jobs())) == (1, 3)


def test_a_persons_retry_waits_for_a_job_that_lists_may_not_show_yet(submit: Submit, vertex: TinyVertex) -> None:
    """The run was killed right after the create, and lists lag by 20 s: its job is adopted."""
    first = submit()
    vertex.entries[0].listed_from = vertex.clock() + 20

    assert submit(retry=1).name == first.name
    assert len(vertex.jobs()) == 1


@given(
    endings=st.lists(st.sampled_from(sorted(ENDINGS)), max_size=8),
    allowed=st.integers(1, 4),
    looks=st.lists(st.integers(1, 3), min_size=9, max_size=9),
    retried=st.lists(st.booleans(), min_size=9, max_size=9),
)
def test_no_history_breaks_the_budget(
    submit: Submit,
    vertex: TinyVertex,
    clock: Clock,
    endings: list[str],
    allowed: int,
    looks: list[int],
    retried: list[bool],
) -> None:
    """Failures of all kinds never exceed the budget and one for each person's retry, and no two jobs live at once."""
    vertex.entries.clear()
    clock.now += 10_000  # what another example recorded is long ago
    retry = 0
    for how, times, by_person in zip(endings, looks, retried, strict=False):
        retry += by_person
        for _ in range(times):  # a retry, a second worker: each looks for itself
            submit(allowed, retry=retry)
            assert len(vertex.live()) <= 1
        for job in vertex.live():
            end(job, how)

    failed = [job for job in vertex.jobs() if job.state != JobState.JOB_STATE_CANCELLED]
    final = [ENDINGS[how] for how in FINAL]
    assert len(failed) <= allowed + retry
    paid = [(job.state, job.error.code, job.error.message) for job in failed]
    retries = [job.labels.get(RETRY_LABEL) for job in failed]
    assert not any(end in final and retries[i] == retries[i + 1] for i, end in enumerate(paid[:-1]))


@pytest.mark.parametrize(
    ("restarts", "strategy", "starts"),
    [("none", "STANDARD", 1), ("none", "SPOT", 1), ("replica", "STANDARD", 9), ("job", "SPOT", 15)],
)
def test_the_arithmetic(request_: JobRequest, restarts: str, strategy: str, starts: int) -> None:
    """Vertex AI's own restarts count as what they may be at worst; a budget too small for one job names the field."""
    request = replace(request_, restarts=restarts, strategy=strategy)  # pyright: ignore[reportArgumentType]

    assert starts_of_a_job(request) == starts
    assert all(jobs_allowed(request, attempts) * starts <= attempts for attempts in range(starts, 50))
    if starts > 1:
        with pytest.raises(VertexError, match=f"attempts: {starts - 1} allowed.*Set attempts to {starts} or more"):
            jobs_allowed(request, starts - 1)
