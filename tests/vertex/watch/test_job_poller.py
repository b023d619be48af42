"""Many jobs watched in one process: a list and a log for all of them, within the quotas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import grpc
import pytest
from fixtures.google.scripted_vertex import Clock, TinyVertex
from google.cloud.aiplatform_v1 import CustomJob, JobState
from prefect_vertex_training.core.errors import LocalServiceError, VertexError
from prefect_vertex_training.vertex.client.connection import CLOUD, Connection
from prefect_vertex_training.vertex.submit.submission import job_key
from prefect_vertex_training.vertex.watch.job_poller import JobPoller, job_id
from prefect_vertex_training.vertex.watch.log_reader import Cursor
from prefect_vertex_training.vertex.watch.watch import PROCESS_POLLERS, watch

RUNNING = JobState.JOB_STATE_RUNNING
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@pytest.fixture
def connection(connection: Connection) -> Connection:
    """The cloud's own pace."""
    connection.pace = CLOUD
    return connection


@pytest.fixture
def poller(connection: Connection, clock: Clock) -> JobPoller:
    """One that nobody has joined."""
    return JobPoller(connection, clock)


@pytest.fixture
def fleet(vertex: TinyVertex, poller: JobPoller) -> Callable[[int], list[CustomJob]]:
    """Makes so many running jobs and watches them."""

    def run(count: int) -> list[CustomJob]:
        jobs = [vertex.add(job_key("fleet", str(i)), RUNNING) for i in range(count)]
        for job in jobs:
            poller.join(job.name, Cursor())
        return jobs

    return run


@pytest.fixture
def crowd(connection: Connection, vertex: TinyVertex, clock: Clock) -> Iterator[None]:
    """Other watches in this process, so that a watch shares its reads with them."""
    with ExitStack() as stack:
        for i in range(5):
            other = vertex.add(job_key("crowd", str(i)), RUNNING)
            stack.enter_context(PROCESS_POLLERS.watching(connection, other.name, Cursor(), clock))
        yield


def created(job: CustomJob) -> float:
    """When a job was created."""
    return job.create_time.timestamp()  # pyright: ignore[reportOptionalMemberAccess]


def test_a_thousand_jobs_stay_below_a_tenth_of_the_quota(
    fleet, poller: JobPoller, vertex: TinyVertex, clock: Clock
) -> None:
    """Each is looked at every few seconds for three minutes, and the lists that takes are below 60 a minute."""
    jobs = fleet(1000)

    for _ in range(36):
        seen = [poller.read(job.name, created(job)) for job in jobs]
        clock.now += 5

    assert [job.name for job in jobs] == [job.name for job in seen if job]
    assert set(vertex.calls) == {"list"}
    assert len(vertex.calls) <= 3 * 60


def test_a_few_jobs_are_each_read_at_once(fleet, poller: JobPoller, vertex: TinyVertex) -> None:
    """With four jobs a change of state shows at the next look."""
    jobs = fleet(4)
    poller.read(jobs[0].name, created(jobs[0]))
    jobs[0].state = JobState.JOB_STATE_SUCCEEDED

    seen = poller.read(jobs[0].name, created(jobs[0]))

    assert seen is not None
    assert seen.state == JobState.JOB_STATE_SUCCEEDED
    assert vertex.calls == ["get", "get"]


def test_an_end_is_told_by_the_next_list(fleet, poller: JobPoller, vertex: TinyVertex, clock: Clock) -> None:
    """Of many jobs none needs a read of its own, not even at its end."""
    jobs = fleet(10)
    poller.read(jobs[3].name, created(jobs[3]))
    jobs[3].state = JobState.JOB_STATE_FAILED
    clock.now += 15

    seen = poller.read(jobs[3].name, created(jobs[3]))

    assert seen is not None
    assert seen.state == JobState.JOB_STATE_FAILED
    assert vertex.calls == ["list", "list"]


def test_a_job_that_joins_waits_for_the_next_list(fleet, poller: JobPoller, vertex: TinyVertex, clock: Clock) -> None:
    """A sweep that is still being submitted costs no read for each new job."""
    jobs = fleet(5)
    poller.read(jobs[0].name, created(jobs[0]))
    clock.now += 1
    (late,) = fleet(1)

    first = poller.read(late.name, created(late))
    clock.now += 15
    second = poller.read(late.name, created(late))

    assert first is None
    assert second is not None
    assert vertex.calls == ["list", "list"]


def test_a_job_that_lists_do_not_show_is_read_for_itself(
    fleet, poller: JobPoller, vertex: TinyVertex, clock: Clock
) -> None:
    """A list that lags behind makes no watch wait for it."""
    fleet(5)
    late = vertex.add(job_key("late"), RUNNING, lag=60)
    poller.join(late.name, Cursor())

    seen = poller.read(late.name, created(late))

    assert seen is not None
    assert vertex.calls == ["list", "get"]


def test_lists_that_fail_leave_what_was_known(fleet, poller: JobPoller, vertex: TinyVertex, clock: Clock) -> None:
    """One watcher's bad luck is not everybody's; only trouble for ten minutes is an error, for all of them."""
    jobs = fleet(6)
    poller.read(jobs[0].name, created(jobs[0]))
    vertex.refusals = {"list": [UNAVAILABLE] * 10_000}

    for _ in range(40):
        clock.now += 15
        assert poller.read(jobs[1].name, created(jobs[1])) is not None
    clock.now += 30

    for job in jobs:
        with pytest.raises(LocalServiceError):
            poller.read(job.name, created(job))


def test_where_lists_are_refused_each_job_is_read(fleet, poller: JobPoller, vertex: TinyVertex) -> None:
    """An account that may read jobs and not list them still sees its jobs."""
    jobs = fleet(6)
    vertex.refusals = {"list": [grpc.StatusCode.PERMISSION_DENIED]}

    assert all(poller.read(job.name, created(job)) for job in jobs)
    assert vertex.calls == ["list", *["get"] * 6]


def test_a_job_that_is_gone_is_an_error(fleet, poller: JobPoller) -> None:
    """A job that was deleted is told, though the others are listed."""
    fleet(6)
    poller.join("projects/4711/locations/here/customJobs/9", Cursor())

    with pytest.raises(VertexError, match="not found"):
        poller.read("projects/4711/locations/here/customJobs/9", 1_700_000_000.0)


def test_a_watch_among_many_reports_its_end(crowd, connection: Connection, vertex: TinyVertex, clock: Clock) -> None:
    """States, lines and outcome are those of a watch that is alone."""
    job = vertex.add(job_key("mine"), RUNNING)
    vertex.say("epoch 1", job=job_id(job.name))
    vertex.say("of another job", job="1001")
    states, lines = [], []

    def end() -> None:
        if clock.slept[-1] and len(clock.slept) == 3:
            vertex.say("epoch 2", job=job_id(job.name))
            job.state = JobState.JOB_STATE_SUCCEEDED

    clock.on_sleep = end
    outcome = watch(
        connection,
        job.name,
        on_state=states.append,
        on_lines=lines.extend,
        created=created(job),
        clock=clock,
        sleep=clock.sleep,
    )

    assert outcome.state == "JOB_STATE_SUCCEEDED"
    assert states == ["JOB_STATE_RUNNING", "JOB_STATE_SUCCEEDED"]
    assert [line.message for line in lines] == ["epoch 1", "epoch 2"]
    assert "get" not in vertex.calls


def test_a_duplicate_is_seen_in_the_list_of_many(
    crowd, connection: Connection, vertex: TinyVertex, clock: Clock
) -> None:
    """Another submitter's job of the same key ends without a look of its own."""
    job = vertex.add(job_key("twice"), RUNNING)
    clock.now += 1
    other = vertex.add(job_key("twice"), RUNNING)

    def end() -> None:
        if len(clock.slept) == 3:
            job.state = JobState.JOB_STATE_SUCCEEDED

    clock.on_sleep = end
    outcome = watch(
        connection,
        job.name,
        on_state=lambda _: None,
        on_lines=lambda _: None,
        created=created(job),
        clock=clock,
        sleep=clock.sleep,
    )

    assert outcome.name == job.name
    assert other.state == JobState.JOB_STATE_CANCELLED


def test_the_logs_of_a_thousand_jobs_are_six_requests(
    fleet, poller: JobPoller, vertex: TinyVertex, clock: Clock
) -> None:
    """Each job gets its own lines, in order and once, within sixty requests a minute for all of them."""
    jobs = fleet(1000)
    begin = clock()
    got: dict[str, list[str]] = {job.name: [] for job in jobs}
    for minute in range(3):
        for job in jobs[::10]:
            vertex.say(f"line {minute}", job=job_id(job.name))
        for _ in range(60):
            clock.now += 1
            poller.logs.read_if_due()
        for job in jobs:
            got[job.name] += [line.message for line in poller.logs.take(job_id(job.name))]

    assert all(lines == (["line 0", "line 1", "line 2"] if i % 10 == 0 else []) for i, lines in enumerate(got.values()))
    assert vertex.calls.count("log") <= 60 * (clock() - begin) / 60
    assert max(map(len, vertex.log_filters)) <= 20_000


def test_a_talkative_job_keeps_the_pace(fleet, poller: JobPoller, vertex: TinyVertex, clock: Clock) -> None:
    """A backlog of 12,000 lines is read on and on within the quota, and none of it is lost."""
    (job,) = fleet(1)
    for i in range(12_000):
        vertex.say(str(i), at=clock() - 1 + i / 1e5)
    begin, lines = clock(), []
    while len(lines) < 12_000 and clock() < begin + 600:
        poller.logs.read_if_due()
        lines += poller.logs.take(job_id(job.name))
        clock.now += 1

    assert [line.message for line in lines] == [str(i) for i in range(12_000)]
    assert vertex.calls.count("log") <= 60 * (clock() - begin) / 60 + 10
