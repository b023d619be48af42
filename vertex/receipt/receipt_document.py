"""The receipt document beside a model, as JSON: its code, image, job, and every file with its checksum.

It holds nothing that differs between two attempts at writing it, so a retry writes the same bytes or finds them there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...core.errors import VertexError
from ...core.metering.meter import Meters
from ...core.output_folders import (
    LiteralOutput,
    bare_addresses,
    likeliest_first,
    literal_outputs,
    receipt_file,
    variable_outputs,
)
from ..client.calls import get, seconds, state_of
from ..client.connection import Connection
from ..client.storage import ModelStore
from ..job_types import Origin, Receipt
from ..labels import ATTEMPT_LABEL
from ..pricing.cost_cap import HOUR
from ..pricing.cost_labels import max_cost_of, prices_of, rate_of
from .model_files import locate_model, read_model
from .resumed_variable import decode
from .timestamps import timestamp

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import CustomJob, WorkerPoolSpec

VERSION = 1
"""Raised when earlier readers would misread a document. New fields don't raise it: readers ignore what they don't know,
and a field that an old document lacks is empty."""

Metrics = Mapping[str, Mapping[str, float]]
"""By a metric's name: its `last`, `lowest` and `highest` value."""

_WRITES = 3


def record_model(
    connection: Connection, name: str, origin: Origin, *, metrics: Metrics | None = None, meters: Meters | None = None
) -> Receipt:
    """Lists and checksums the model of a job that succeeded, and writes the receipt document beside it.

    A repeated call changes nothing. Another job's document in the same folder is replaced, as that job's model was.

    Args:
        connection: Connection to where the job ran.
        name: The job's full name.
        origin: What the model was trained from.
        metrics: By the metric's name: its `last`, `lowest` and `highest` value.
        meters: Where the model's bytes that are read are counted.

    Raises:
        ModelMissing: The job saved no new file in its model folder.
        VertexError: The model can't be read or the document not written; transient when no answer came, or when another
            process writes there at the same time.
    """
    job = get(connection, name)
    output = job.job_spec.base_output_directory.output_uri_prefix
    folder, found = locate_model(connection, output, _other_places(job), since=seconds(job.create_time))
    model = read_model(connection.models, folder, found, meters)
    content = document(job, connection, model, origin, folder=folder, metrics=metrics or {})
    data = json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"
    return replace(model, document=_write(connection.models, receipt_file(output), data))


def _other_places(job: CustomJob) -> list[LiteralOutput]:
    primary = job.job_spec.worker_pool_specs[0].container_spec
    variables = {item.name: item.value for item in primary.env}
    output = job.job_spec.base_output_directory.output_uri_prefix
    return named_places([*primary.command, *primary.args], variables, output)


def named_places(words: Sequence[str], variables: Mapping[str, str], output: str) -> list[LiteralOutput]:
    """Outputs in a bucket that a job's arguments or variables name, the likeliest place of the model first.

    Args:
        words: The job's command and arguments.
        variables: Its variables.
        output: Its own output, whose folders are left out.
    """
    folder = f"{output.rstrip('/')}/"
    found = [*likeliest_first([*literal_outputs(words), *variable_outputs(variables)]), *bare_addresses(words)]
    return [place for place in found if not f"{place.folder}/".startswith(folder)]


def _write(store: ModelStore, uri: str, data: bytes) -> str:
    """Writes the document unless it is there already; returns its path or URI."""
    for _ in range(_WRITES):
        found = store.document(uri)
        if (found and found.data == data) or store.write(uri, data, generation=found.generation if found else 0):
            return store.location(uri)
    raise VertexError(
        "another process keeps writing the receipt",
        where=uri,
        next_step="Give each run an output of its own",
        transient=True,
    )


def document(
    job: CustomJob, connection: Connection, receipt: Receipt, origin: Origin, *, folder: str, metrics: Metrics
) -> dict[str, Any]:
    """The content of the receipt. It has the names of variables only: values may be secret."""
    primary = job.job_spec.worker_pool_specs[0].container_spec
    spec = job.job_spec
    resumed = decode({variable.name: variable.value for variable in primary.env})
    return {
        "version": VERSION,
        "image": primary.image_uri,
        "code": {"commit": origin.commit or None, "fingerprint": origin.fingerprint or None},
        "requirements": {"sha256": origin.requirements or None},
        "command": list(primary.command),
        "args": list(primary.args),
        "variables": sorted(variable.name for variable in primary.env),
        "pools": [_pool(pool) for pool in spec.worker_pool_specs if pool.replica_count],
        "strategy": spec.scheduling.strategy.name,
        "job": {
            "name": job.name,
            "display_name": job.display_name,
            "state": state_of(job),
            "project": connection.project,
            "region": connection.region,
            "attempt": int(job.labels.get(ATTEMPT_LABEL, "1")),
            "created": _time(job.create_time),
            "started": _time(job.start_time),
            "ended": _time(job.end_time),
        },
        "flow_run": origin.flow_run or None,
        **({"resumed": dict(resumed)} if resumed else {}),
        **({} if origin.verified else {"verified": False}),
        **({"data": [dict(each) for each in origin.data]} if origin.data else {}),
        "output": spec.base_output_directory.output_uri_prefix,
        **({} if connection.endpoint.local and rate_of(job.labels) is None else {"cost": _cost(job)}),
        **({"metrics": metrics} if metrics else {}),
        "model": folder,
        "files": [
            {"path": file.path, "bytes": file.size, "sha256": file.sha256, "updated": timestamp(file.updated)}
            for file in receipt.files
        ],
    }


def _cost(job: CustomJob) -> Mapping[str, Any]:
    """What the job cost, by the list price of an hour as it was known when it was submitted."""
    rate, seconds_billed = rate_of(job.labels), max(0.0, seconds(job.end_time) - seconds(job.start_time))
    return {
        "currency": "USD",
        "amount": None if rate is None else round(rate * seconds_billed / HOUR, 6),
        "seconds": round(seconds_billed, 3),
        "an_hour": rate,
        "prices": prices_of(job.labels) or None,
        "max_cost": max_cost_of(job.labels),
    }


def _pool(pool: WorkerPoolSpec) -> Mapping[str, Any]:
    machine = pool.machine_spec
    return {
        "machine_type": machine.machine_type,
        "accelerator_type": machine.accelerator_type.name if machine.accelerator_count else None,
        "accelerator_count": machine.accelerator_count,
        "replicas": int(pool.replica_count),
        "image": pool.container_spec.image_uri,
    }


def _time(moment: Any) -> str | None:  # noqa: ANN401 - proto-plus gives its own datetime, or None
    return timestamp(seconds(moment)) if moment else None
