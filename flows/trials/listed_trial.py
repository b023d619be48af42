"""A trial's job with a fall-back list: the next place takes it when one has no machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ...sweeps.trial_records import TrialPlan
from ...tasks.reporting.step_log import step_log
from ...tasks.watch import WatchProgress
from ...vertex.client.connection import Connection
from ...vertex.fallback.tries import Place as ShownPlace
from ...vertex.job_types import JobRequest, Outcome
from ...vertex.labels import RUN_LABEL
from ...vertex.resume.checkpoint_copy import copy_checkpoints
from ...vertex.resume.resume_point import with_resume_point
from ..block_parameters import connect, connect_in
from ..listed_places.ignored_regions import all_ignored
from ..listed_places.listed_run import ReadyPlace, follow_places
from ..step_runner import Steps

if TYPE_CHECKING:
    from ...blocks.vertex_ai import VertexAI


def run_listed_trial(
    steps: Steps,
    vertex: VertexAI | None,
    own: TrialPlan,
    *,
    run: str,
    allowed: int,
    retry: int,
    near: Callable[[int], JobRequest] | None,
    watching: Callable[[Connection, JobRequest], WatchProgress],
) -> tuple[Connection, JobRequest, Outcome]:
    """Goes through the trial's list until a job succeeds, or is ended early.

    Args:
        steps: Runs the steps and keeps their reports.
        vertex: Where the trial's own place is; None for this machine.
        own: The trial.
        run: Id of its flow run.
        allowed: How often the script may be attempted.
        retry: How often a person has retried the trial.
        near: Brings image and data to a place, and returns the request with them. None takes both from where they are.
        watching: Makes what follows a job, and may end it early.

    Raises:
        JobFailed, VertexError: As `follow_places`.
    """
    home = connect(vertex)
    connections = [_connection(home, vertex, place.region, place.bucket) for place in own.places]

    def request(entry: int) -> JobRequest:
        made = near(entry) if near else own.places[entry].request
        return replace(made, labels={**made.labels, RUN_LABEL: run})

    def resumed(entry: int, made: JobRequest) -> JobRequest:
        outputs = [place.request.output for place in own.places]
        copy_checkpoints(connections[entry].models, outputs, made.output, log=step_log("resume"))
        return with_resume_point(connections[entry], made, None, step_log("resume"))

    outcome, entry, made = follow_places(
        steps,
        own.key,
        [
            ReadyPlace(
                connection,
                place.wait,
                ShownPlace(place.region, str(place.request.machine), place.request.strategy),
            )
            for connection, place in zip(connections, own.places, strict=True)
        ],
        request,
        resumed=resumed,
        limits=(allowed, own.rounds),
        retry=retry,
        ignored=frozenset(all_ignored(own.ignored, {place.region for place in own.places})),
        watching=lambda entry: watching(connections[entry], own.places[entry].request),
    )
    return connections[entry], made, outcome


def _connection(home: Connection, vertex: VertexAI | None, region: str, bucket: str) -> Connection:
    return home if (region, bucket) == (home.region, home.bucket) else connect_in(vertex, region, bucket)
