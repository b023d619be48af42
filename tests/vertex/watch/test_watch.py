"""Following a job by the service's word, with its lines, through trouble."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import grpc
import pytest
from fixtures.google.scripted_vertex import Clock, TinyVertex
from google.cloud.aiplatform_v1 import CustomJob, JobState
from google.cloud.logging_v2.types import LogEntry
from google.rpc.status_pb2 import Status
from prefect_vertex_training.core.errors import LocalServiceError, VertexError
from prefect_vertex_training.vertex.client.connection import Connection
from prefect_vertex_training.vertex.job_types import LogLine, Outcome
from prefect_vertex_training.vertex.submit.submission import job_key
from prefect_vertex_training.vertex.watch.log_reader import Cursor
from prefect_vertex_training.vertex.watch.watch import watch

KEY = job_key("watched")


class Seen:
    """What a watch handed on."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.lines: list[LogLine] = []

    @property
    def messages(self) -> list[str]:
        """The lines' texts."""
        return [line.message for line in self.lines]


@pytest.fixture
def seen() -> Seen:
    """States and lines in the order in which they came."""
    return Seen()


@pytest.fixture
def watching(connection: Connection, clock: Clock, seen: Seen):
    """Watches a job with the test's clock."""

    def run(name: str) -> Outcome:
        return watch(
            connection, name, on_state=seen.states.append, on_lines=seen.lines.extend, clock=clock, sleep=clock.sleep
        )

    return run


@pytest.fixture
def script(clock: Clock, vertex: TinyVertex):
    """Lets a job go through states, one at each sleep, with something done on the way."""

    def run(job: CustomJob, *steps: object) -> None:
        left = list(steps)

        def next_step() -> None:
            if left:
                step = left.pop(0)
                step() if callable(step) else setattr(job, "state", step)

        clock.on_sleep = next_step

    return run


def end(job: CustomJob, code: int, text: str) -> None:
    """The job fails with the service's words."""
    job.state = JobState.JOB_STATE_FAILED
    job.error = Status(code=code, message=text)


def test_tells_every_change_of_state_once(watching, script, vertex: TinyVertex, seen: Seen) -> None:
    """QUEUED to SUCCEEDED, with PAUSED and UPDATING between, each told once."""
    job = vertex.add(state=JobState.JOB_STATE_QUEUED)
    running = JobState.JOB_STATE_RUNNING
    script(
        job,
        JobState.JOB_STATE_PENDING,
        running,
        running,
        JobState.JOB_STATE_PAUSED,
        JobState.JOB_STATE_UPDATING,
        running,
        JobState.JOB_STATE_SUCCEEDED,
    )

    outcome = watching(job.name)

    short = [state.removeprefix("JOB_STATE_") for state in seen.states]
    assert short == ["QUEUED", "PENDING", "RUNNING", "PAUSED", "UPDATING", "RUNNING", "SUCCEEDED"]
    assert (outcome.state, outcome.error, outcome.diagnosis) == ("JOB_STATE_SUCCEEDED", "", None)


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED"])
def test_every_terminal_state_ends_the_watch(watching, vertex: TinyVertex, state: str) -> None:
    """Also the two that Google's own SDK forgets."""
    job = vertex.add(state=JobState[f"JOB_STATE_{state}"])

    assert f"JOB_STATE_{state}" == watching(job.name).state


@pytest.mark.filterwarnings("ignore:Unrecognized JobState")
def test_a_state_of_the_future_is_a_live_one(watching, script, vertex: TinyVertex, seen: Seen) -> None:
    """A number that this client does not know does not end the watch."""
    job = vertex.add(state=JobState.JOB_STATE_RUNNING)
    script(job, 42, JobState.JOB_STATE_SUCCEEDED)

    watching(job.name)

    assert seen.states == ["JOB_STATE_RUNNING", "JOB_STATE_UNSPECIFIED", "JOB_STATE_SUCCEEDED"]


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL]
)
def test_trouble_for_minutes_is_waited_out(watching, vertex: TinyVertex, code: grpc.StatusCode) -> None:
    """Reads of state and log that get no answer are asked again."""
    job = vertex.add(state=JobState.JOB_STATE_SUCCEEDED)
    vertex.refusals = {"get": [code] * 12, "log": [code] * 3, "list": [code]}

    assert watching(job.name).state == "JOB_STATE_SUCCEEDED"


def test_trouble_without_end_is_a_transient_error(watching, vertex: TinyVertex, clock: Clock) -> None:
    """After ten minutes without an answer the watch ends; a retry goes on with the same job."""
    job = vertex.add(state=JobState.JOB_STATE_RUNNING)
    vertex.refusals = {"get": [grpc.StatusCode.UNAVAILABLE] * 1000}
    begin = clock()

    with pytest.raises(LocalServiceError) as caught:
        watching(job.name)

    assert caught.value.transient
    assert 600 <= clock() - begin <= 630


def test_a_job_that_is_not_there_is_an_error_at_once(watching, clock: Clock) -> None:
    """A wrong name is told, not waited for."""
    with pytest.raises(VertexError, match="not found"):
        watching("projects/1/locations/here/customJobs/9")

    assert clock.slept == []


def test_lines_come_once_and_late_ones_too(watching, script, vertex: TinyVertex, clock: Clock, seen: Seen) -> None:
    """A line that the log shows seconds after younger ones is handed on, and nothing twice."""
    job = vertex.add(state=JobState.JOB_STATE_RUNNING)

    def speak() -> None:
        vertex.say("late", late=7)
        vertex.say("first")

    script(job, speak, lambda: vertex.say("second"), lambda: None, lambda: None, JobState.JOB_STATE_SUCCEEDED)
    watching(job.name)

    assert seen.messages == ["first", "second", "late"]


def test_the_last_words_of_a_failed_job_are_waited_for(watching, vertex: TinyVertex, seen: Seen) -> None:
    """The traceback that reaches the log after the job has ended is read and explains the failure."""
    job = vertex.add(state=JobState.JOB_STATE_RUNNING)
    end(job, 3, "The replica workerpool0-0 exited with a non-zero status of 1. Termination reason: Error.")
    for line in ("Traceback (most recent call last):", '  File "train.py", line 3', "ValueError: no data"):
        vertex.say(line, late=12)

    outcome = watching(job.name)

    assert "ValueError: no data" == seen.messages[-1] == outcome.tail[-1]
    assert outcome.diagnosis
    assert str(outcome.diagnosis) == "the training code failed with ValueError: no data. Fix it and run again"
    assert not outcome.diagnosis.retryable


def test_a_log_that_gives_no_answer_at_the_end_is_asked_again(watching, vertex: TinyVertex, seen: Seen) -> None:
    """The lines of a job that ended are not lost to a burst of UNAVAILABLE."""
    job = vertex.add(state=JobState.JOB_STATE_SUCCEEDED)
    vertex.say("the last words")
    vertex.refusals = {"log": [grpc.StatusCode.UNAVAILABLE] * 2}

    watching(job.name)

    assert seen.messages == ["the last words"]


def test_a_line_from_the_future_hides_no_other(watching, script, vertex: TinyVertex, clock: Clock, seen: Seen) -> None:
    """A program that dates its own lines wrongly does not silence the rest of its log."""
    job = vertex.add(state=JobState.JOB_STATE_RUNNING)
    vertex.say("from tomorrow", at=clock() + 86400, late=-86400)
    script(job, lambda: None, lambda: vertex.say("today"), lambda: None, JobState.JOB_STATE_SUCCEEDED)

    watching(job.name)

    assert seen.messages == ["from tomorrow", "today"]


def test_the_last_look_for_duplicates_is_patient(watching, vertex: TinyVertex, clock: Clock) -> None:
    """A burst of UNAVAILABLE at the end of the job does not leave its duplicate running."""
    job = vertex.add(KEY, JobState.JOB_STATE_SUCCEEDED)
    vertex.add(KEY, JobState.JOB_STATE_RUNNING)
    vertex.refusals = {"list": [grpc.StatusCode.UNAVAILABLE] * 5}

    assert watching(job.name).name == job.name
    assert vertex.live() == []


def test_more_lines_than_a_page_holds(watching, vertex: TinyVertex, seen: Seen, clock: Clock) -> None:
    """2,500 lines arrive whole and in order, and only the last ones are kept for the outcome."""
    job = vertex.add(state=JobState.JOB_STATE_SUCCEEDED)
    for i in range(2500):
        vertex.say(f"line {i}", at=clock() - 1 + i / 1e6)

    outcome = watching(job.name)

    assert [f"line {i}" for i in range(2500)] == seen.messages
    assert [f"line {i}" for i in range(2450, 2500)] == list(outcome.tail)


def test_lines_beyond_the_limit_are_counted(
    watching, vertex: TinyVertex, seen: Seen, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left out in silence: a last line says how many there are, and where."""
    monkeypatch.setattr(sys.modules[watch.__module__], "LONGEST_DRAIN", 0.0)
    job = vertex.add(state=JobState.JOB_STATE_SUCCEEDED)
    for i in range(12_500):
        vertex.say(f"line {i}", at=clock() - 1 + i / 1e6)

    watching(job.name)

    shown = [message for message in seen.messages if message.startswith("line ")]
    assert shown == [f"line {i}" for i in range(len(shown))]
    assert 0 < len(shown) < 12_500
    assert f"{12_500 - len(shown):,} more lines are not shown" in seen.messages[-1]
    assert "stream-logs" in seen.messages[-1] or "local logs" in seen.messages[-1]


def test_a_long_log_takes_time_in_line_with_its_length() -> None:
    """What was read before is looked through only when it has doubled, also if all lines are of one second."""
    cursor, looked = Cursor(), 0
    entry = type(LogEntry.pb(LogEntry()))
    for page in range(60):
        entries = [entry(insert_id=str(page * 1000 + i), text_payload="x") for i in range(1000)]
        before = cursor.seen
        assert len(cursor.fresh(entries, now=1.0, overlap=10.0)) == 1000
        looked += cursor.seen is not before

    assert looked <= 10


def test_structured_lines_show_their_message(watching, vertex: TinyVertex, seen: Seen) -> None:
    """JSON with a message shows that; other JSON itself, in one order and whole numbers whole; replica and severity."""
    job = vertex.add(state=JobState.JOB_STATE_SUCCEEDED)
    vertex.say("", json_payload={"message": "loss 0.1", "step": 3}, severity=400)
    vertex.say("", json_payload={"loss": 0.5, "per": [1, 2], "deep": {"a": True}, "big": 1e300})
    vertex.say("pulled", task="service", severity=200)

    watching(job.name)

    assert seen.lines[0].message == "loss 0.1"
    assert seen.lines[1].message == '{"big": 1e+300, "deep": {"a": true}, "loss": 0.5, "per": [1, 2]}'
    assert [(x.severity, x.task) for x in seen.lines[::2]] == [("WARNING", "workerpool0-0"), ("INFO", "service")]


def test_a_log_that_may_not_be_read_is_told_once(watching, script, vertex: TinyVertex, seen: Seen) -> None:
    """The job goes on; one line names the permission and the command that grants it."""
    job = vertex.add(state=JobState.JOB_STATE_RUNNING)
    vertex.refusals = {"log": [grpc.StatusCode.PERMISSION_DENIED] * 50}
    vertex.refusal_text = "Permission 'logging.logEntries.list' denied on resource 'projects/my-project'"
    script(job, *[JobState.JOB_STATE_RUNNING] * 5, JobState.JOB_STATE_SUCCEEDED)

    outcome = watching(job.name)

    assert outcome.state == "JOB_STATE_SUCCEEDED"
    assert 1 == len(seen.lines) == vertex.calls.count("log")
    assert "roles/logging.viewer" in seen.messages[0]


def test_the_log_is_read_at_most_sixty_times_a_minute(watching, script, vertex: TinyVertex, clock: Clock) -> None:
    """Three minutes of a talkative job stay below Cloud Logging's limit, and below 600 reads of state."""
    job = vertex.add(state=JobState.JOB_STATE_RUNNING)
    begin = clock()

    def work() -> None:
        for _ in range(100):
            vertex.say("x")
        if clock() > begin + 180:
            job.state = JobState.JOB_STATE_SUCCEEDED  # its process talks on, and the watch ends all the same

    clock.on_sleep = work
    watching(job.name)
    minutes = (clock() - begin) / 60

    assert vertex.calls.count("log") <= 60 * minutes
    assert vertex.calls.count("get") <= 15 * minutes


def test_the_log_is_asked_for_this_job_alone(watching, vertex: TinyVertex) -> None:
    """By resource and job, from its creation on; never by log name."""
    job = vertex.add(state=JobState.JOB_STATE_SUCCEEDED)
    watching(job.name)

    wanted = f'resource.type="ml_job" AND resource.labels.job_id="{job.name.rpartition("/")[2]}" AND timestamp>="'
    assert vertex.log_filters[0].startswith(wanted)


def test_seconds_are_never_below_zero(watching, vertex: TinyVertex, clock: Clock) -> None:
    """The service's start and end are whole seconds and may be in the wrong order."""
    job = vertex.add(state=JobState.JOB_STATE_SUCCEEDED)
    job.start_time = datetime.fromtimestamp(clock() + 1, tz=UTC)
    job.end_time = datetime.fromtimestamp(clock(), tz=UTC)

    assert watching(job.name).seconds == 0.0


def test_a_duplicate_listed_late_is_cancelled_while_watching(
    watching, script, vertex: TinyVertex, clock: Clock
) -> None:
    """Another submitter's job that lists show only later does not run to its end beside this one."""
    job = vertex.add(KEY, JobState.JOB_STATE_RUNNING)
    clock.now += 0.1
    other = vertex.add(KEY, JobState.JOB_STATE_RUNNING, lag=44)
    script(job, *[JobState.JOB_STATE_RUNNING] * 15, JobState.JOB_STATE_SUCCEEDED)

    outcome = watching(job.name)

    assert (job.name, "JOB_STATE_SUCCEEDED") == (outcome.name, outcome.state)
    assert other.state == JobState.JOB_STATE_CANCELLED


def test_the_watcher_of_a_newer_duplicate_follows_the_older_job(
    watching, script, vertex: TinyVertex, clock: Clock
) -> None:
    """When the watched job is the duplicate, the watch goes on with the one that stays and reports that one's end."""
    older = vertex.add(KEY, JobState.JOB_STATE_RUNNING, lag=30)
    clock.now += 0.1
    mine = vertex.add(KEY, JobState.JOB_STATE_RUNNING)
    script(older, *[JobState.JOB_STATE_RUNNING] * 15, JobState.JOB_STATE_SUCCEEDED)

    outcome = watching(mine.name)

    assert (older.name, "JOB_STATE_SUCCEEDED") == (outcome.name, outcome.state)
    assert mine.state == JobState.JOB_STATE_CANCELLED


def test_a_job_cancelled_on_purpose_stays_cancelled(watching, vertex: TinyVertex, clock: Clock) -> None:
    """A job of a later attempt does not answer for one that somebody cancelled."""
    cancelled = vertex.add(KEY, JobState.JOB_STATE_CANCELLED)
    clock.now += 3600
    vertex.add(KEY, JobState.JOB_STATE_SUCCEEDED)

    outcome = watching(cancelled.name)

    assert (cancelled.name, "JOB_STATE_CANCELLED") == (outcome.name, outcome.state)


def test_a_watch_goes_on_from_the_cursor_of_an_earlier_one(connection: Connection, vertex: TinyVertex, clock: Clock):
    """What was handed on before the watch died is not handed on again."""
    job = vertex.add(state=JobState.JOB_STATE_RUNNING)
    cursor, lines = Cursor(), []
    vertex.say("first")

    def die() -> None:
        raise KeyboardInterrupt

    clock.on_sleep = die
    with pytest.raises(KeyboardInterrupt):
        follow(connection, job, lines, clock, cursor)
    clock.on_sleep = lambda: None
    vertex.say("second")
    job.state = JobState.JOB_STATE_SUCCEEDED
    follow(connection, job, lines, clock, cursor)

    assert lines == ["first", "second"]


def follow(connection: Connection, job: CustomJob, lines: list[str], clock: Clock, cursor: Cursor) -> None:
    """A watch that keeps the lines' texts."""
    watch(
        connection,
        job.name,
        on_state=lambda _: None,
        on_lines=lambda new: lines.extend(line.message for line in new),
        cursor=cursor,
        clock=clock,
        sleep=clock.sleep,
    )
