"""The receipt that lies beside a model, as JSON: what it was made of, by which job, and every file with its checksum.

It says nothing that changes when it is made again, so that a retry writes the same bytes, or finds them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ...core.errors import VertexError
from ..client.calls import get, seconds, state_of
from ..client.connection import Connection
from ..job_types import Origin, Receipt
from ..labels import ATTEMPT_LABEL

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import CustomJob, WorkerPoolSpec

FILE = "receipt.json"
"""Beside the model's folder, in the job's output."""

_WRITES = 3


def timestamp(moment: float) -> str:
    """Seconds since 1970 as RFC 3339 in UTC, whole seconds."""
    return datetime.fromtimestamp(moment, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def write_receipt(connection: Connection, name: str, receipt: Receipt, origin: Origin) -> str:
    """Writes the receipt of a job that succeeded into its output; where it lies.

    Called again it changes nothing. Another job's receipt in the same folder is replaced, as its model was.

    Args:
        connection: Where the job ran.
        name: The job's full name.
        receipt: Of its model.
        origin: What was trained.

    Raises:
        VertexError: It can't be written; transient when no answer came, or somebody else writes there.
    """
    job = get(connection, name)
    data = json.dumps(document(job, connection, receipt, origin), indent=2, ensure_ascii=False).encode() + b"\n"
    store, uri = connection.models, f"{job.job_spec.base_output_directory.output_uri_prefix.rstrip('/')}/{FILE}"
    for _ in range(_WRITES):
        found = store.document(uri)
        if (found and found.data == data) or store.write(uri, data, generation=found.generation if found else 0):
            return store.location(uri)
    raise VertexError(
        "somebody else keeps writing the receipt",
        where=uri,
        next_step="Give each run an output of its own",
        transient=True,
    )


def document(job: CustomJob, connection: Connection, receipt: Receipt, origin: Origin) -> dict[str, Any]:
    """What the receipt says. Of variables only the names: values may be secret, and this lies with the model."""
    primary = job.job_spec.worker_pool_specs[0].container_spec
    spec = job.job_spec
    return {
        "version": 1,
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
        "output": spec.base_output_directory.output_uri_prefix,
        "files": [
            {"path": file.path, "bytes": file.size, "sha256": file.sha256, "updated": timestamp(file.updated)}
            for file in receipt.files
        ],
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
