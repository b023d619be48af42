"""Prefect events about a training job; automations and other programs can react to them.

The event's resource is the job. Prefect adds flow run, task run and deployment as related resources.
"""

from __future__ import annotations

from typing import Any

from prefect.events import emit_event

from ...vertex.job_types import Receipt
from .artifacts import optional_display

SUBMITTED = "vertex-training.job.submitted"
SUCCEEDED = "vertex-training.job.succeeded"
FAILED = "vertex-training.job.failed"
DELIVERED = "vertex-training.model.delivered"

FIRST_FILES, LONGEST_PATH = 100, 500
"""Files in an event, and characters of a path there: Prefect's server refuses events of more than 1.5 MB."""


def job_event(event: str, job: str, **payload: Any) -> None:  # noqa: ANN401 - anything that JSON holds
    """Emits an event about a job.

    Args:
        event: `SUBMITTED`, `SUCCEEDED` or `FAILED`.
        job: The job's full name.
        payload: Further data for the event.
    """
    with optional_display():
        emit_event(
            event,
            resource={
                "prefect.resource.id": f"vertex-training.job.{job}",
                "prefect.resource.name": job.rpartition("/")[2],
            },
            payload=payload,
        )


def model_event(receipt: Receipt) -> None:
    """Emits an event about a model that is ready in its folder or bucket."""
    with optional_display():
        emit_event(
            DELIVERED,
            resource={
                "prefect.resource.id": f"vertex-training.model.{receipt.model}",
                "prefect.resource.name": receipt.model,
            },
            payload={
                "model": receipt.model,
                "receipt": receipt.document,  # lists every file
                "bytes": receipt.size,
                "count": len(receipt.files),
                "files": [
                    {"path": file.path[:LONGEST_PATH], "bytes": file.size, "sha256": file.sha256}
                    for file in receipt.files[:FIRST_FILES]
                ],
            },
        )
