"""A campaign of faults: after lost and late answers, kills and concurrent submitters, one live job remains.

Every submitter runs in its own thread with Google's own client, and stops at each call, record and sleep. Hypothesis
decides which one continues, which is killed, and what happens to each create; only the schedule moves the clock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
from fixtures.google.scripted_vertex import Clock, Fate, TinyVertex, Wire
from fixtures.suite.hypothesis_profile import examples
from google.cloud.aiplatform_v1 import JobServiceClient, JobState
from hypothesis import event, given, settings
from hypothesis import strategies as st
from prefect_vertex_training.core.errors import TrainingError
from prefect_vertex_training.vertex.client.calls import listed
from prefect_vertex_training.vertex.client.connection import Connection, Pace
from prefect_vertex_training.vertex.client.endpoints import LocalEndpoint
from prefect_vertex_training.vertex.job_types import JobRequest, SubmittedJob
from prefect_vertex_training.vertex.submit.submission import job_key, keep_one, submit

KEY = job_key("campaign")
SETTLE = 40.0
PACE = Pace(settle=SETTLE, poll=5, log_poll=5, log_page=0, log_overlap=5, log_drain=0, patience=300)
AMBIGUOUS = [
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,
]


class Killed(BaseException):
    """The process ends here without cleaning up."""


@dataclass
class Actor:
    """One submitter's process: it runs only while the schedule lets it."""

    clock: Clock
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    stopped: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    wakes: float = 0.0
    killed: bool = False
    done: bool = False
    result: SubmittedJob | None = None
    failure: BaseException | None = None

    def pause(self, seconds: float = 0.0) -> None:
        """Hands control back; the schedule gives it again when the time has come, or kills."""
        self.wakes = self.clock() + seconds
        self.stopped.release()
        self.go.acquire()
        if self.killed:
            raise Killed

    def start(self, work: Callable[[Actor], SubmittedJob]) -> None:
        """Begins the work, up to its first stop."""

        def run() -> None:
            try:
                self.pause()
                self.result = work(self)
            except (Killed, TrainingError) as error:
                self.failure = error
            finally:
                self.done = True
                self.stopped.release()

        threading.Thread(target=run, daemon=True).start()
        self.stopped.acquire()

    def step(self) -> None:
        """Lets it run to its next stop."""
        self.go.release()
        assert self.stopped.acquire(timeout=60)


class SteppingClient(JobServiceClient):
    """Google's client, with a stop before each call is sent and after its answer came."""

    actor: Actor

    def _stepped(self, call: Callable[..., Any], *args: Any, **more: Any) -> Any:
        self.actor.pause()
        try:
            return call(*args, **more)
        finally:
            self.actor.pause()

    def create_custom_job(self, *args: Any, **more: Any) -> Any:
        """As Google's, with stops."""
        return self._stepped(super().create_custom_job, *args, **more)

    def list_custom_jobs(self, *args: Any, **more: Any) -> Any:
        """As Google's, with stops."""
        return self._stepped(super().list_custom_jobs, *args, **more)

    def cancel_custom_job(self, *args: Any, **more: Any) -> Any:
        """As Google's, with stops."""
        return self._stepped(super().cancel_custom_job, *args, **more)


@dataclass
class Stage:
    """A service, its clock, and what attempts recorded durably."""

    wire: Wire
    request: JobRequest
    clock: Clock = field(default_factory=Clock)
    recorded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.vertex = TinyVertex(self.clock)
        self.wire.vertex = self.vertex

    def connection(self, actor: Actor | None = None) -> Connection:
        """To this service; an actor's calls stop."""
        place = LocalEndpoint("p", "europe-west4", "b", self.wire.target, None)
        connection = Connection(lambda: place, PACE)
        if actor is not None:
            client = SteppingClient(transport=place.jobs().transport)
            client.actor = actor
            connection._cached["jobs"] = client
            connection.lost = lambda: None
        return connection

    def submit(self, actor: Actor) -> SubmittedJob:
        """One attempt, which knows what earlier ones recorded."""

        def record(text: str) -> None:
            self.recorded.append(text)
            actor.pause()

        return submit(
            self.connection(actor),
            self.request,
            KEY,
            record=record,
            recorded=self.recorded[-1] if self.recorded else None,
            clock=self.clock,
            sleep=actor.pause,
        )

    def actor(self) -> Actor:
        """A submitter at its first stop."""
        actor = Actor(self.clock)
        actor.start(self.submit)
        return actor


@st.composite
def fates(draw: st.DrawFn) -> Fate:
    """What becomes of a create: answered or not, made or not, at once or late; listed within the settle window."""
    code = draw(st.sampled_from([None, *AMBIGUOUS]))
    made = code is None or draw(st.booleans())
    late = draw(st.floats(0, SETTLE / 2)) if code is not None else 0.0
    return Fate(made=made, late=late, code=code, lag=draw(st.floats(0, SETTLE / 2 - 1)))


CAMPAIGN = settings(max_examples=examples(150))


def advance(stage: Stage, actors: list[Actor]) -> None:
    """Moves the clock to the next moment at which a submitter wakes."""
    stage.clock.now = max(stage.clock.now, min(actor.wakes for actor in actors))


@CAMPAIGN
@given(script=st.lists(fates(), max_size=6), failed_before=st.booleans(), data=st.data())
def test_crashes_and_lost_answers_never_make_a_second_job(
    wire: Wire, request_: JobRequest, script: list[Fate], failed_before: bool, data: st.DataObject
) -> None:
    """One submitter at a time, killed anywhere and started again: at no moment do two jobs exist."""
    stage = Stage(wire, request_)
    stage.vertex.fates = list(script)
    old = {stage.vertex.add(KEY, JobState.JOB_STATE_FAILED).name} if failed_before else set()
    kills = data.draw(st.lists(st.integers(1, 25), max_size=4), label="steps until each kill")
    for steps in [*kills, None]:
        actor = stage.actor()
        while not actor.done:
            advance(stage, [actor])
            actor.killed = steps is not None and (steps := steps - 1) <= 0
            actor.step()
            assert len(stage.vertex.entries) <= 1 + len(old)
        if steps is not None and actor.result is not None:
            break
    event(f"creates: {stage.vertex.calls.count('create')}, killed: {len(kills)}")
    if actor.result is not None:
        assert {actor.result.name} == {job.name for job in stage.vertex.jobs()} - old
    else:
        assert isinstance(actor.failure, TrainingError)
        assert actor.failure.transient


@CAMPAIGN
@given(script=st.lists(fates(), max_size=8), data=st.data())
def test_submitters_at_once_end_in_one_live_job(
    wire: Wire, request_: JobRequest, script: list[Fate], data: st.DataObject
) -> None:
    """Any interleaving of two or three submitters, with kills, ends with exactly one live job after the window."""
    stage = Stage(wire, request_)
    stage.vertex.fates = list(script)
    actors = [stage.actor() for _ in range(data.draw(st.integers(2, 3), label="submitters"))]
    kills = data.draw(st.integers(0, len(actors)), label="kills")
    while living := [actor for actor in actors if not actor.done]:
        ready = [actor for actor in living if actor.wakes <= stage.clock()]
        chosen = data.draw(st.integers(0, len(ready)), label="who goes next")
        if chosen == len(ready):
            later = [actor for actor in living if actor.wakes > stage.clock()]
            stage.clock.now += 1.0 if not later else 0.0
            advance(stage, later or living)
            continue
        actor = ready[chosen]
        if kills and data.draw(st.integers(0, 9), label="fate") == 0:
            actor.killed = True
            kills -= 1
        actor.step()
    stage.vertex.fates = []
    final = Actor(stage.clock)
    final.start(stage.submit)
    while not final.done:
        advance(stage, [final])
        final.step()
    stage.clock.now += SETTLE
    connection = stage.connection()
    kept = keep_one(connection, listed(connection, KEY))

    event(f"jobs ever: {len(stage.vertex.jobs())}")
    assert kept is not None
    assert [kept.name] == [job.name for job in stage.vertex.live()]
