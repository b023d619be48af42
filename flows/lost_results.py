"""What earlier attempts of this flow run finished, and whether their results can still be read."""

from __future__ import annotations

from typing import Any, cast

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRun
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger
from prefect.results import ResultStore
from prefect.tasks import Task


class Earlier:
    """The steps that a retried run finished before; of a first attempt there are none, and nobody is asked."""

    def __init__(self) -> None:
        self._keys: dict[str, str] | None = None

    def check(self, step: Task[..., Any]) -> None:
        """Says so, in one line, if this step has to be done again only because its result is gone."""
        context = FlowRunContext.get()
        if context is None or context.flow_run is None or context.flow_run.run_count <= 1:
            return
        if self._keys is None:
            self._keys = _finished(context)
        key = self._keys.get(step.name)
        # Called from here it is no coroutine, whatever its type says.
        store = cast("ResultStore", context.result_store.update_for_task(step))
        if key is None or store.exists(key):
            return
        get_run_logger().warning(
            "%s was finished before, but its result is gone from %s: it is done again. To keep results where every "
            "worker can read them, name a storage block in PREFECT_DEFAULT_RESULT_STORAGE_BLOCK, as gcs-bucket/NAME",
            step.name,
            _place(context.result_store),
            extra={"step": step.name},
        )


def _finished(context: FlowRunContext) -> dict[str, str]:
    """The storage keys of results that later attempts look for, by step."""
    assert context.flow_run is not None
    with get_client(sync_client=True) as client:
        mine = FlowRunFilter(id=FlowRunFilterId(any_=[context.flow_run.id]))
        runs = client.read_task_runs(flow_run_filter=mine)
    keys = ((run, _key(run)) for run in runs)
    # A step without a key of its own asks whoever has what it made, and not the storage.
    return {step: key for run, key in keys if key and key.startswith(f"{(step := run.task_key.split('-')[0])}-")}


def _key(run: TaskRun) -> str | None:
    """The last part: a local storage writes its folder before it, which on another machine is another."""
    if run.state is None or not run.state.is_completed():
        return None
    return str(getattr(run.state.data, "storage_key", None) or "").rpartition("/")[2]


def _place(store: ResultStore) -> str:
    storage = store.result_storage
    name = getattr(storage, "_block_document_name", None)
    folder = getattr(storage, "basepath", None) or getattr(storage, "bucket", "")
    return f"{type(storage).__name__} {name or ''} {folder}".replace("  ", " ").strip()
