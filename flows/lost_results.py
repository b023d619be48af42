"""Warns when a retried flow run repeats a finished step because its result is missing from the storage."""

from __future__ import annotations

import logging
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRun
from prefect.context import FlowRunContext
from prefect.results import ResultStore
from prefect.tasks import Task

from ..core.errors import ResultError
from ..prefect_private import document_name, store_of_step
from ..tasks.reporting.step_log import step_log


class FinishedSteps:
    """The steps that earlier attempts of this flow run finished; read from Prefect's server only in a retried run."""

    def __init__(self) -> None:
        self._keys: dict[str, str] | None = None

    def warn_if_lost(self, step: Task[..., Any]) -> None:
        """Logs one line if an earlier attempt finished this step and its result can't be found."""
        context = FlowRunContext.get()
        if context is None or context.flow_run is None or context.flow_run.run_count <= 1:
            return
        if self._keys is None:
            self._keys = _result_keys(context)
        key = self._keys.get(step.name)
        if key is None or _is_stored(store_of_step(context, step), key):
            return
        step_log(step.name, level=logging.WARNING)(
            f"{step.name} was finished before, but its result is gone from {_location(context.result_store)}: it is "
            "done again. To keep results where every worker can read them, name a storage block in "
            "PREFECT_DEFAULT_RESULT_STORAGE_BLOCK, as gcs-bucket/NAME"
        )


def _is_stored(store: ResultStore, key: str) -> bool:
    """Whether there is a result, usable or not; the step itself logs why it can't use one."""
    try:
        store.read(key)
    except ResultError:
        return True
    except Exception:  # noqa: BLE001 - each kind of storage has its own exception for a missing file
        return False
    return True


def _result_keys(context: FlowRunContext) -> dict[str, str]:
    """Storage keys of the results that later attempts look for, by the step's name."""
    assert context.flow_run is not None
    with get_client(sync_client=True) as client:
        mine = FlowRunFilter(id=FlowRunFilterId(any_=[context.flow_run.id]))
        runs = client.read_task_runs(flow_run_filter=mine)
    keys = ((run, _key(run)) for run in runs)
    # Steps without a cache key ask the registry or the service, and not the result storage.
    return {step: key for run, key in keys if key and key.startswith(f"{(step := run.task_key.split('-')[0])}-")}


def _key(run: TaskRun) -> str | None:
    """A result's key without its folder: local storages write theirs into it, and it differs between machines."""
    if run.state is None or not run.state.is_completed():
        return None
    return str(getattr(run.state.data, "storage_key", None) or "").rpartition("/")[2]


def _location(store: ResultStore) -> str:
    storage = store.result_storage
    folder = getattr(storage, "basepath", None) or getattr(storage, "bucket", "")
    return " ".join(filter(None, [type(storage).__name__, document_name(storage), str(folder)]))
