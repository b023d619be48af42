"""What a job resumes from: found before each attempt, named to the script by a variable, and kept with the job."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

from ...core.errors import VertexError
from ..client.connection import Connection
from ..job_types import JobRequest
from ..receipt.resumed_variable import encode
from .checkpoint_copy import checkpoints_of, copy_checkpoints
from .earlier_run import EarlierRun

_MARK = "resume.json"
"""Beside the folders of an output: it was made with another run's checkpoints, and all of these were copied."""


def with_resume_point(
    connection: Connection, request: JobRequest, earlier: EarlierRun | None, log: Callable[[str], None]
) -> JobRequest:
    """The request with what its next job resumes from, if there is anything.

    Another run's checkpoints are copied once: those that this run's jobs have written since count, and those that they
    removed don't come back.

    Args:
        connection: Where the job will run.
        request: The job; its output has the checkpoints of all of its attempts.
        earlier: The run whose checkpoints this one takes up.
        log: Called with lines for the run's log.

    Raises:
        VertexError: The checkpoints can't be listed or copied.
    """
    origin = _taken_up(connection, request.output, earlier, log) if earlier else {}
    found = checkpoints_of(connection.models, request.output)
    if not found.files:
        return request
    log(f"the script finds {found} in {connection.models.location(found.folder)}")
    facts = {"from": found.folder, "files": found.files, "bytes": found.size, "newest": found.newest, **origin}
    return replace(request, env={**request.env, **encode(facts)})


def _taken_up(
    connection: Connection, output: str, earlier: EarlierRun, log: Callable[[str], None]
) -> Mapping[str, str]:
    """Copies the earlier run's checkpoints, unless that is done; returns what the job is told of them."""
    store, mark = connection.models, f"{output.rstrip('/')}/{_MARK}"
    origin = {"run": earlier.run, "copied_from": earlier.checkpoints.folder}
    if store.document(mark) is None:
        copied = copy_checkpoints(store, [earlier.output], output, log=log)
        if copied.files < earlier.checkpoints.files:
            raise VertexError(
                "checkpoints were removed while they were copied",
                where=earlier.checkpoints.folder,
                next_step="Wait until that run has ended, then retry this one",
                transient=True,
            )
        store.write(mark, json.dumps(origin, indent=2).encode() + b"\n", generation=0)
    return origin
