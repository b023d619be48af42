"""How every step is retried and remembered; the one place that says so to Prefect."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task, exponential_backoff

from ..core.retry import is_transient


def retry_if_transient(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001 - Prefect's signature
    """Whether a failed step is worth another try: only where its error says that trying again can help."""
    try:
        state.result()
    except BaseException as error:  # noqa: BLE001 - every kind of failure is judged, none is handled
        return is_transient(error)
    return False


STEP: dict[str, Any] = {
    # 2, 4, 8 seconds, each stretched by up to half of itself so that runs that failed together spread out.
    "retries": 3,
    "retry_delay_seconds": exponential_backoff(backoff_factor=2),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": retry_if_transient,
    # Results are read again by a later run, perhaps of another version: JSON stays readable, pickles don't.
    "persist_result": True,
    "result_serializer": "json",
}
"""Options of every step's `@task`."""
