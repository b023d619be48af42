"""Exactly one job per request, through Google's own client and a real gRPC server."""

from __future__ import annotations

import json
import threading

import grpc
import pytest
from fixtures.google.scripted_vertex import Clock, Fate, TinyVertex
from google.cloud.aiplatform_v1 import JobState
from prefect_vertex_training.core.errors import LocalServiceError, VertexError
from prefect_vertex_training.vertex.client.connection import Connection
from prefect_vertex_training.vertex.job_types import JobRequest, SubmittedJob
from prefect_vertex_training.vertex.submit.submission import find, job_key, submit

KEY = job_key("flow run", "train", "inputs")
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@pytest.fixture
def book() -> list[str]:
    """What was recorded, in order."""
    return []


@pytest.fixture
def submitting(connection: Connection, request_: JobRequest, clock: Clock, book: list[str]):
    """Submits the request with the test's clock; keyword arguments change a call."""

    def run(**more: object) -> SubmittedJob:
        given = {"record": book.append, "clock": clock, "sleep": clock.sleep, **more}
        return submit(connection, request_, KEY, **given)  # pyright: ignore[reportArgumentType]

    return run


def test_creates_one_job_with_the_key_in_its_label(submitting, vertex: TinyVertex) -> None:
    """A new request becomes one job that carries its key."""
    job = submitting()

    assert [job.name] == [j.name for j in vertex.jobs()]
    assert dict(vertex.jobs()[0].labels) == {"vertex_training_key": KEY}
    assert (job.adopted, job.state) == (False, "JOB_STATE_PENDING")


def test_the_intent_is_recorded_before_the_create(submitting, vertex: TinyVertex) -> None:
    """When the record can't be made, nothing is created."""

    def refuse(_text: str) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        submitting(record=refuse)

    assert vertex.jobs() == []


@pytest.mark.filterwarnings("ignore:Unrecognized JobState")
@pytest.mark.parametrize(
    "state", [JobState.JOB_STATE_PENDING, JobState.JOB_STATE_RUNNING, JobState.JOB_STATE_PAUSED, 77]
)
def test_a_live_job_is_adopted(submitting, vertex: TinyVertex, state: JobState) -> None:
    """A job of an earlier attempt that still lives is gone on with, in any live state, known or not."""
    earlier = vertex.add(KEY, state)

    job = submitting()

    assert (earlier.name, True) == (job.name, job.adopted)
    assert "create" not in vertex.calls


def test_a_succeeded_job_is_the_answer(submitting, vertex: TinyVertex) -> None:
    """A job that succeeded is not run again."""
    earlier = vertex.add(KEY, JobState.JOB_STATE_SUCCEEDED)

    job = submitting()

    assert (earlier.name, "JOB_STATE_SUCCEEDED", True) == (job.name, job.state, job.adopted)


@pytest.mark.parametrize(
    "state",
    [
        JobState.JOB_STATE_FAILED,
        JobState.JOB_STATE_CANCELLED,
        JobState.JOB_STATE_CANCELLING,
        JobState.JOB_STATE_EXPIRED,
    ],
)
def test_a_failed_or_cancelled_job_is_not_the_answer(submitting, vertex: TinyVertex, state: JobState) -> None:
    """After a failure or a cancel a new attempt is a new job."""
    earlier = vertex.add(KEY, state)

    job = submitting()

    assert earlier.name != job.name
    assert not job.adopted


def test_jobs_of_other_keys_are_left_alone(submitting, vertex: TinyVertex) -> None:
    """Neither adopted nor cancelled, even when the service ignores the filter."""
    vertex.ignore_filter = True
    strangers = [vertex.add(job_key("another")), vertex.add()]

    job = submitting()

    assert job.name not in {stranger.name for stranger in strangers}
    assert len(vertex.live()) == 3


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
    ],
)
def test_a_lost_answer_finds_the_job_that_was_made(submitting, vertex: TinyVertex, code: grpc.StatusCode) -> None:
    """The job exists and lists show it only later: it is waited for, not made again."""
    vertex.fates = [Fate(code=code, lag=30)]

    job = submitting()

    assert [job.name] == [j.name for j in vertex.jobs()]
    assert vertex.calls.count("create") == 1


def test_a_create_that_arrives_late_is_found(submitting, vertex: TinyVertex) -> None:
    """The caller's answer was UNAVAILABLE, and the service made the job half a minute later."""
    vertex.fates = [Fate(code=UNAVAILABLE, late=30, lag=10)]

    job = submitting()

    assert [job.name] == [j.name for j in vertex.jobs()]


def test_create_is_called_again_only_after_the_settle_window(
    submitting, vertex: TinyVertex, clock: Clock, book: list[str]
) -> None:
    """A create that was lost on its way is repeated, but not before the settle window is over."""
    vertex.fates = [Fate(made=False, code=UNAVAILABLE)]

    job = submitting()

    first, second = (json.loads(text)["at"] for text in book)
    assert second - first >= 45
    assert [job.name] == [j.name for j in vertex.jobs()]


def test_a_job_that_failed_before_it_was_found_is_returned(submitting, vertex: TinyVertex, clock: Clock) -> None:
    """The answer was lost and the job has failed already: that is this request's job, not a reason for another."""
    vertex.fates = [Fate(code=UNAVAILABLE, lag=20)]

    def fail_all() -> None:
        for job in vertex.jobs():
            job.state = JobState.JOB_STATE_FAILED

    clock.on_sleep = fail_all
    job = submitting()

    assert (len(vertex.jobs()), job.state) == (1, "JOB_STATE_FAILED")


def test_a_refusal_is_raised_at_once(submitting, vertex: TinyVertex, clock: Clock, book: list[str]) -> None:
    """A definite refusal is neither repeated nor waited for, by this attempt or the next."""
    vertex.fates = [Fate(made=False, code=grpc.StatusCode.INVALID_ARGUMENT)]

    with pytest.raises(VertexError):
        submitting()
    submitting(recorded=book[-1])

    assert clock.slept == []
    assert vertex.calls.count("create") == 2


def test_gives_up_after_three_creates_without_a_trace(submitting, vertex: TinyVertex) -> None:
    """When every create is lost the error is transient and says that running again is safe."""
    vertex.fates = [Fate(made=False, code=UNAVAILABLE)] * 3

    with pytest.raises(LocalServiceError) as caught:
        submitting()

    assert caught.value.transient
    assert vertex.calls.count("create") == 3


def test_a_recorded_intent_makes_the_next_attempt_wait_for_an_unlisted_job(
    submitting, vertex: TinyVertex, clock: Clock, book: list[str]
) -> None:
    """A crash right after the create: the retry waits until lists show the job instead of making a second one."""
    vertex.fates = [Fate(lag=40)]
    first = submitting()

    second = submitting(recorded=book[-1])

    assert (first.name, True) == (second.name, second.adopted)
    assert vertex.calls.count("create") == 1
    assert sum(clock.slept) >= 40


def test_a_failed_job_does_not_hide_one_that_is_not_listed_yet(submitting, vertex: TinyVertex, book: list[str]) -> None:
    """A crashed attempt's job is waited for although an older job of the key, which failed, is listed."""
    vertex.add(KEY, JobState.JOB_STATE_FAILED)
    vertex.fates = [Fate(lag=40)]
    first = submitting()

    second = submitting(recorded=book[-1])

    assert (second.name, second.adopted) == (first.name, True)


def test_an_old_intent_costs_no_time(submitting, clock: Clock) -> None:
    """Once the settle window of the recorded create is over, its job is not waited for."""
    submitting(recorded=json.dumps({"key": KEY, "at": clock() - 46}))

    assert clock.slept == []


@pytest.mark.parametrize("text", ["not json", "[]", '{"at": null}', '{"at": 1e300}', '{"at": NaN}', "{}"])
def test_an_unreadable_intent_counts_as_a_fresh_one(submitting, clock: Clock, text: str) -> None:
    """A record that can't be read costs one settle window and nothing else."""
    submitting(recorded=text)

    assert 44.9 <= sum(clock.slept) <= 46


def test_bursts_of_unavailable_are_waited_out(submitting, vertex: TinyVertex) -> None:
    """Lists that get no answer are asked again; the create waits for one that does."""
    vertex.refusals = {"list": [UNAVAILABLE] * 8}

    submitting()

    assert len(vertex.live()) == 1


def test_of_two_jobs_the_older_stays(submitting, vertex: TinyVertex, clock: Clock) -> None:
    """Duplicates that are found are cancelled, all but the oldest."""
    oldest = vertex.add(KEY, JobState.JOB_STATE_RUNNING)
    clock.now += 1
    vertex.add(KEY)
    vertex.add(KEY)

    job = submitting()

    assert oldest.name == job.name
    assert [oldest.name] == [j.name for j in vertex.live()]


def test_a_succeeded_job_ends_the_live_ones(submitting, vertex: TinyVertex) -> None:
    """When the answer is there, a job that still works on it only costs."""
    vertex.add(KEY, JobState.JOB_STATE_RUNNING)
    done = vertex.add(KEY, JobState.JOB_STATE_SUCCEEDED)

    job = submitting()

    assert done.name == job.name
    assert vertex.live() == []


def test_a_duplicate_that_has_just_ended_is_no_error(submitting, vertex: TinyVertex) -> None:
    """Cancelling a job that ended meanwhile may be refused; that is fine."""
    kept = vertex.add(KEY)
    vertex.add(KEY)
    vertex.refusals = {"cancel": [grpc.StatusCode.FAILED_PRECONDITION]}

    assert kept.name == submitting().name


def test_two_submitters_at_once_end_in_one_job(
    connection: Connection, request_: JobRequest, vertex: TinyVertex, clock: Clock
) -> None:
    """Both look before either creates; both come back with the same job, and it is the only one."""
    barrier = threading.Barrier(2)
    found: list[SubmittedJob] = []

    def run() -> None:
        found.append(
            submit(connection, request_, KEY, record=lambda _: barrier.wait() and None, clock=clock, sleep=clock.sleep)
        )

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert vertex.calls.count("create") == 2
    assert len(vertex.live()) == 1
    assert vertex.live()[0].name in {job.name for job in found}


def test_find_lists_the_oldest_first(connection: Connection, vertex: TinyVertex, clock: Clock) -> None:
    """All jobs of a key in the order of their creation, whatever their states."""
    names = []
    for state in (JobState.JOB_STATE_FAILED, JobState.JOB_STATE_SUCCEEDED, JobState.JOB_STATE_RUNNING):
        names.append(vertex.add(KEY, state).name)
        clock.now += 1

    assert names == [job.name for job in find(connection, KEY)]


def test_an_invalid_key_is_refused_before_anything_is_sent(
    connection: Connection, request_: JobRequest, vertex: TinyVertex
) -> None:
    """A key that can't be a label's value would never be found again."""
    with pytest.raises(VertexError, match="label value"):
        submit(connection, request_, "Not A Label", record=lambda _: None)

    assert vertex.calls == []


def test_keys_stay_the_same_between_versions() -> None:
    """A run that another version of this package began is retried by this one, which must find its job."""
    assert job_key("flow run", "submit", "sha256:1", "--epochs") == "t4ea2201aa491a5d4edaff81a365cc3f53204e4f3"


def test_keys_differ_where_their_parts_differ() -> None:
    """Joining parts does not make two requests one; every key is a valid label."""
    keys = {job_key("a", "b"), job_key("ab"), job_key("a", "b", ""), job_key("b", "a"), job_key("ä" * 5000)}

    assert len(keys) == 5
    assert all(len(key) <= 63 and key.isalnum() and key == key.lower() for key in keys)
    assert job_key("a", "b") == job_key("a", "b")
