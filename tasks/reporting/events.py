"""What happens to a training's job, as Prefect events: automations start from them, and other programs listen to them.

Each names the job as its resource; Prefect adds the flow run, the task run and the deployment as related ones.
"""

from __future__ import annotations

from typing import Any

from prefect.events import emit_event

from ...vertex.job_types import Receipt
from .artifacts import only_shown

SUBMITTED = "vertex-training.job.submitted"
SUCCEEDED = "vertex-training.job.succeeded"
FAILED = "vertex-training.job.failed"
DELIVERED = "vertex-training.model.delivered"


def job_event(event: str, job: str, **payload: Any) -> None:  # noqa: ANN401 - anything that JSON holds
    """Tells that something happened to a job.

    Args:
        event: One of this module's names.
        job: Its full name.
        payload: What else is known.
    """
    with only_shown():
        emit_event(
            event,
            resource={
                "prefect.resource.id": f"vertex-training.job.{job}",
                "prefect.resource.name": job.rpartition("/")[2],
            },
            payload=payload,
        )


def model_event(receipt: Receipt) -> None:
    """Tells that a model lies where it can be fetched."""
    with only_shown():
        emit_event(
            DELIVERED,
            resource={
                "prefect.resource.id": f"vertex-training.model.{receipt.model}",
                "prefect.resource.name": receipt.model,
            },
            payload={
                "model": receipt.model,
                "bytes": receipt.size,
                "files": [{"path": file.path, "bytes": file.size, "sha256": file.sha256} for file in receipt.files],
            },
        )
