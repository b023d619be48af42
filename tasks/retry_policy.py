"""Options that all steps share: how Prefect retries them, and that it keeps their results."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task, exponential_backoff

from ..core.retry import is_transient


def retry_if_transient(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001 - Prefect's signature
    """Whether Prefect should retry a failed step: only if its error says that trying again can help."""
    try:
        state.result()
    except BaseException as error:  # noqa: BLE001 - every kind of failure is judged, none is handled
        return is_transient(error)
    return False


STEP: dict[str, Any] = {
    # Waits of 2, 4 and 8 seconds, each up to half as long again, so that runs that failed together spread out.
    "retries": 3,
    "retry_delay_seconds": exponential_backoff(backoff_factor=2),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": retry_if_transient,
    "persist_result": True,
}
"""Options of every step's `@task`, beside its `result_serializer`, from `step_result`."""
