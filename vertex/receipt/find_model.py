"""Finds the model that a person means: by its run, its job, or its place."""

from __future__ import annotations

from pathlib import Path

from ...core.errors import VertexError
from ...core.output_folders import MODEL, RECEIPT
from ..client.connection import Connection
from ..client.storage import FolderStore, split_uri
from .recorded_model import RecordedModel, recorded_model
from .recorded_runs import RUN_ID, RecordedRun, recorded_runs, run_of

_LOOKED_AT = 1000
"""Newest runs that a part of an id is compared with."""

_SHORTEST = 4
"""Characters of an id that are enough to look for it."""

_LIST = "List what is there: vertex-training models"


def find_model(connection: Connection | None, text: str, *, cloud: bool) -> RecordedModel:
    """The model that a text names, as its receipt says.

    Args:
        connection: Where to look; None for a machine without any job.
        text: A run's id or its beginning, a job's id or full name, or a model's place: `gs://...` or a folder.
        cloud: Whether the connection is to the cloud, for the next step of messages.

    Raises:
        VertexError: There is no such run or place, it has no model, or its receipt is missing or damaged.
    """
    if connection is None:
        raise _unknown(text, cloud=False)
    if place := named_place(connection, text):
        return _at(connection, place, text, cloud=cloud)
    run = find_run(connection, text, cloud=cloud)
    if run.model is not None:
        return run.model
    if run.problem:
        raise VertexError(run.problem)
    if run.state != "JOB_STATE_SUCCEEDED":
        raise VertexError(
            f"the run has no model: its job is {run.state.removeprefix('JOB_STATE_').lower()}",
            where=run.job,
            next_step=_LIST,
        )
    raise _no_receipt(connection.models.location(run.output))


def named_place(connection: Connection, text: str) -> str:
    """The `gs://` URI that the text names; empty for a text that is no place."""
    if text.startswith("gs://"):
        return text
    store = connection.models
    if not isinstance(store, FolderStore) or "/" not in text or text.startswith("projects/"):
        return ""
    path = Path(text).expanduser().absolute().resolve()
    root = store.root.resolve()
    return f"gs://{path.relative_to(root).as_posix()}" if path != root and path.is_relative_to(root) else ""


def _at(connection: Connection, uri: str, text: str, *, cloud: bool) -> RecordedModel:
    """The model at a place: a run's output, the folder of its model, or its receipt."""
    split_uri(uri)  # refuses what is no location
    output = uri.rstrip("/")
    for last in (f"/{RECEIPT}", f"/{MODEL}"):
        output = output.removesuffix(last)
    store = connection.models
    if found := recorded_model(store, output):
        return found
    if not store.objects(output):
        raise VertexError(
            "nothing is there",
            where=text,
            next_step=_LIST if cloud else "For a model in the cloud, name its block: --vertex BLOCK",
        )
    raise _no_receipt(text)


def find_run(connection: Connection, text: str, *, cloud: bool) -> RecordedRun:
    """The run with this id, beginning of an id, or job.

    Args:
        connection: Where to look.
        text: The run's id or its beginning, or the job's id or full name.
        cloud: Whether the connection is to the cloud, for the next step of messages.

    Raises:
        VertexError: There is none, or there are several.
    """
    if RUN_ID.fullmatch(text) and (found := run_of(connection, text)):
        return found
    runs = recorded_runs(connection, limit=_LOOKED_AT) if len(text) >= _SHORTEST else []
    found = [run for run in runs if run.run.startswith(text) or text in {run.job, run.job.rpartition("/")[2]}]
    if not found:
        raise _unknown(text, cloud=cloud)
    if len(found) > 1:
        several = ", ".join(run.run for run in found[:3])
        raise VertexError(f"{len(found)} runs begin so: {several}", where=text, next_step="Give more of the run's id")
    return found[0]


def _unknown(text: str, *, cloud: bool) -> VertexError:
    return VertexError(
        "there is no such run" + ("" if cloud else " on this machine"),
        where=text,
        next_step="List them: vertex-training runs" + ("" if cloud else "; for the cloud's, add --vertex BLOCK"),
    )


def _no_receipt(where: str) -> VertexError:
    return VertexError(
        "the model has no receipt, so nothing says whether its files are whole",
        where=where,
        next_step="Retry the run, whose last step writes the receipt",
    )
