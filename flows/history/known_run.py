"""What is known of a training run, whoever knows it. Nothing here needs Prefect, whose import takes seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ...core.output_folders import bucket_folder_uri
from ...vertex.client.connection import Connection
from ...vertex.receipt.recorded_runs import RecordedRun

_STATES = {
    "JOB_STATE_SUCCEEDED": "Completed",
    "JOB_STATE_FAILED": "Failed",
    "JOB_STATE_CANCELLED": "Cancelled",
    "JOB_STATE_EXPIRED": "Failed",
    "JOB_STATE_PARTIALLY_SUCCEEDED": "Failed",
    "JOB_STATE_CANCELLING": "Cancelling",
    "JOB_STATE_RUNNING": "Running",
}
"""Prefect's words for a job's states; all others wait for a machine."""


HERE = "this machine"
CLOUD = "the cloud"


@dataclass(frozen=True, slots=True)
class KnownRun:
    """A run, as far as anybody knows it.

    Attributes:
        run: The flow run's id.
        project: Name of the project that was trained.
        name: The run's name in Prefect; without Prefect the job's.
        state: Name of its state in Prefect, as "Completed"; without Prefect what its job's state means.
        started: When it started, seconds since 1970; 0 when unknown.
        seconds: How long it ran; 0 when unknown.
        place: Where its job runs: `HERE`, a region such as "europe-west4", or `CLOUD` where nobody knows the region.
        job: The newest job's full name; empty without a job.
        model: The model's location: a folder of this machine, or `gs://...`; empty without a receipt.
        receipt: The receipt's location; empty without one.
        files: Number of the model's files.
        size: Size of the model in bytes.
        metrics: By the metric's name: its `last`, `lowest` and `highest` value.
        problem: Why its receipt can't be read; empty if nothing is wrong.
        cost: What its jobs have cost, in USD, by list prices; None when unknown, and for jobs of this machine.
    """

    run: str
    project: str
    name: str
    state: str
    started: float
    seconds: float
    place: str
    job: str = ""
    model: str = ""
    receipt: str = ""
    files: int = 0
    size: int = 0
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    problem: str = ""
    cost: float | None = None


def newest(runs: Iterable[KnownRun], limit: int) -> list[KnownRun]:
    """The newest of some runs, newest first."""
    return sorted(runs, key=lambda run: (run.started, run.run), reverse=True)[:limit]


def place_of(connection: Connection) -> str:
    """The place of jobs as `KnownRun.place` names it."""
    uri = bucket_folder_uri(connection.bucket)
    return HERE if connection.models.location(uri) != uri else connection.region


def of_recorded(run: RecordedRun, connection: Connection) -> KnownRun:
    """A run as its job and its receipt say.

    Args:
        run: The run.
        connection: Where it was found.
    """
    model, store = run.model, connection.models
    return KnownRun(
        run=run.run,
        project=run.project,
        name=run.title,
        state=_STATES.get(run.state, "Pending"),
        started=run.created,
        seconds=run.seconds,
        place=place_of(connection),
        job=run.job,
        model=store.location(model.folder) if model else "",
        receipt=store.location(model.receipt) if model else "",
        files=len(model.files) if model else 0,
        size=model.size if model else 0,
        metrics=model.metrics if model else {},
        problem=run.problem,
        cost=run.cost if place_of(connection) != HERE or run.cost else None,
    )
