"""The run whose checkpoints a new run takes up."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from ...core.errors import VertexError
from ..client.connection import Connection
from ..client.storage import split_uri
from ..job_types import TERMINAL
from ..receipt.find_model import find_run, named_place
from ..receipt.recorded_model import recorded_model
from ..receipt.recorded_runs import RUN_ID, project_of, run_of
from .checkpoint_copy import Checkpoints, checkpoints_of


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """An earlier run with checkpoints.

    Attributes:
        run: The flow run's id; empty for a folder that no run is known of.
        output: Its `gs://BUCKET/PREFIX`.
        checkpoints: What is in its checkpoint folder.
        live: Whether its job still runs.
    """

    run: str
    output: str
    checkpoints: Checkpoints
    live: bool = False


def find_earlier_run(connection: Connection, text: str, project: str, *, cloud: bool) -> EarlierRun:
    """The run that a person means, which trained the same project and has checkpoints.

    Args:
        connection: Where the new run's job will run.
        text: A run's id or its beginning, a job's id, or the place of a run's output: `gs://...` or a folder.
        project: Name of the project that is trained now.
        cloud: Whether the connection is to the cloud, for the next step of messages.

    Raises:
        VertexError: There is no such run, it has no checkpoints, or they are those of another project's model.
    """
    run, output, trained, live = _found(connection, text, cloud=cloud)
    if trained and trained != project:
        raise VertexError(
            f"run {run or text} trained {trained}, and this is {project}: its checkpoints are of another model",
            where=connection.models.location(output),
            next_step=f"List this project's runs: vertex-training runs {project}",
        )
    checkpoints = checkpoints_of(connection.models, output)
    if not checkpoints.files:
        raise VertexError(
            f"run {run or text} has no checkpoints to resume from",
            where=connection.models.location(checkpoints.folder),
            next_step="Start without --resume; a script saves checkpoints in AIP_CHECKPOINT_DIR",
        )
    return EarlierRun(run, output, checkpoints, live)


def _found(connection: Connection, text: str, *, cloud: bool) -> tuple[str, str, str, bool]:
    """The run's id, output and project, and whether it is live."""
    place = named_place(connection, text)
    if not place:
        run = find_run(connection, text, cloud=cloud)
        return run.run, run.output, run.project, run.state not in TERMINAL
    split_uri(place)
    output = place.rstrip("/")
    for last in ("/checkpoints", "/model", "/receipt.json"):
        output = output.removesuffix(last)
    name = posixpath.basename(output)
    if RUN_ID.fullmatch(name) and (known := run_of(connection, name)):
        return name, output, known.project, known.state not in TERMINAL
    try:
        found = recorded_model(connection.models, output)
    except VertexError:  # a damaged receipt says nothing about the checkpoints
        found = None
    return (found.run, output, project_of(output, found.title), False) if found else ("", output, "", False)
