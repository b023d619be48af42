"""The training runs that a service and its buckets know: by their jobs, and by the receipts of their models.

Jobs show every run that got as far as a job. Receipts also show those whose jobs the service has forgotten.
"""

from __future__ import annotations

import posixpath
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...core.errors import TrainingError
from ...core.output_folders import bucket_folder_uri, run_output
from ..client.calls import calling, seconds, state_of
from ..client.connection import Connection
from ..job_types import State
from ..labels import RUN_LABEL
from ..submit.spending import billed
from .recorded_model import RecordedModel, recorded_model

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import CustomJob

RUN_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""The id of a flow run, which is also the name of its output folder."""

_RECEIPTS = 200
"""How many receipts of forgotten jobs are read at least: only they tell their time."""

_THREADS = 8
_PAGE = 100


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A training run, as its newest job and its receipt say.

    Attributes:
        run: The flow run's id.
        project: Name of the project that was trained.
        title: The job's display name.
        state: The newest job's state.
        created: When that job was created, seconds since 1970.
        seconds: Time from the job's start to its end; 0 while it is not over.
        job: The job's full name.
        output: The job's `gs://BUCKET/PREFIX`.
        model: What the run's receipt says; None without a receipt.
        problem: Why the receipt can't be read; empty if it can, or if there is none.
        cost: What all jobs of the run have cost so far, in USD; None when unknown.
    """

    run: str
    project: str
    title: str
    state: State
    created: float
    seconds: float
    job: str
    output: str
    model: RecordedModel | None = None
    problem: str = ""
    cost: float | None = None


def recorded_runs(connection: Connection, project: str = "", *, limit: int) -> list[RecordedRun]:
    """The newest runs, newest first.

    Args:
        connection: Where the jobs ran.
        project: Name of a project; empty for all.
        limit: Most runs.

    Raises:
        VertexError: Jobs or folders can't be listed.
    """
    listed = _of_jobs(connection, project, limit)
    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(lambda run: _with_model(connection, run), listed))
        known = {run.run for run in found}
        outputs = [output for output in _outputs(connection, project, listed) if _name(output) not in known]
        # Most ids begin with the time, so the greatest are the newest.
        likely = sorted(outputs, key=_name, reverse=True)[: max(limit, _RECEIPTS)]
        forgotten = pool.map(lambda output: _of_receipt(connection, output), likely)
        found += [run for run in forgotten if run and project in {"", run.project}]
    return sorted(found, key=lambda run: (run.created, run.run), reverse=True)[:limit]


def run_of(connection: Connection, run: str) -> RecordedRun | None:
    """The run with this id, if there is a job of it; with its model.

    Raises:
        VertexError: The jobs can't be listed, or the id is no label's value.
    """
    jobs = jobs_with_label(connection, f'labels.{RUN_LABEL}="{run}"')
    found = next((job for job in jobs if job.labels.get(RUN_LABEL) == run), None)
    return _with_model(connection, _of_job(found)) if found is not None else None


def _of_jobs(connection: Connection, project: str, limit: int) -> list[RecordedRun]:
    runs: dict[str, RecordedRun] = {}
    for job in jobs_with_label(connection, f"labels.{RUN_LABEL}:*"):
        run = _of_job(job)
        if run.run in runs:  # an earlier job of it
            runs[run.run] = replace(runs[run.run], cost=_sum(runs[run.run].cost, run.cost))
        elif project in {"", run.project}:
            if len(runs) == limit:
                break
            runs[run.run] = run
    return list(runs.values())


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def jobs_with_label(connection: Connection, wanted: str) -> Iterator[CustomJob]:
    """The jobs of runs that match a filter, newest first as the service lists them; pages are read as they are needed.

    Raises:
        VertexError: The listing was refused, or got no answer.
    """
    with calling(connection, "list the training jobs", connection.parent):
        pager = connection.jobs.list_custom_jobs(
            request={"parent": connection.parent, "filter": wanted, "page_size": _PAGE},
            retry=None,
            timeout=connection.pace.deadline,
        )
        for job in pager:
            if RUN_LABEL in job.labels:
                yield job


def _of_job(job: CustomJob) -> RecordedRun:
    output = job.job_spec.base_output_directory.output_uri_prefix.rstrip("/")
    ended = seconds(job.end_time)
    return RecordedRun(
        run=job.labels[RUN_LABEL],
        project=project_of(output, job.display_name),
        title=job.display_name,
        state=state_of(job),
        created=seconds(job.create_time),
        seconds=max(ended - seconds(job.start_time), 0.0) if ended and job.start_time else 0.0,
        job=job.name,
        output=output,
        cost=billed(job).cost(time.time()),
    )


def _of_receipt(connection: Connection, output: str) -> RecordedRun | None:
    try:
        model = recorded_model(connection.models, output)
    except TrainingError:  # it may be another program's file
        return None
    if model is None:
        return None
    return RecordedRun(
        run=model.run or _name(output),
        project=project_of(output, model.title),
        title=model.title,
        state="JOB_STATE_SUCCEEDED",
        created=model.created,
        seconds=model.seconds,
        job=model.job,
        output=output,
        model=model,
        cost=model.cost,
    )


def _with_model(connection: Connection, run: RecordedRun) -> RecordedRun:
    if run.state != "JOB_STATE_SUCCEEDED":
        return run
    try:
        return replace(run, model=recorded_model(connection.models, run.output))
    except TrainingError as error:
        return replace(run, problem=str(error))


def _outputs(connection: Connection, project: str, listed: Sequence[RecordedRun]) -> list[str]:
    """The outputs of runs in the buckets' folders: those beside the listed runs' outputs, and the project's own.

    On this machine all folders of the bucket are looked at. In the cloud a bucket may hold anything.
    """
    store = connection.models
    folders = {posixpath.dirname(run.output) for run in listed if RUN_ID.fullmatch(_name(run.output))}
    if project:
        folders.add(bucket_folder_uri(connection.bucket, project))
    elif connection.endpoint.local:
        root = bucket_folder_uri(connection.bucket)
        folders |= {run_output(root, name) for name in store.folders(root)}
    return [
        run_output(folder, name)
        for folder in sorted(folders)
        for name in store.folders(folder)
        if RUN_ID.fullmatch(name)
    ]


def project_of_job(job: CustomJob) -> str:
    """The name of the project that a job trained."""
    return project_of(job.job_spec.base_output_directory.output_uri_prefix.rstrip("/"), job.display_name)


def project_of(output: str, title: str) -> str:
    """The project's name: the folder above the run's output, or the first word of the job's name."""
    folder = _name(posixpath.dirname(output))
    return folder if folder and title.startswith(folder) else title.partition(" ")[0]


def _name(uri: str) -> str:
    return posixpath.basename(uri)
