"""Runs a flow as a child of the current flow run, with a name and an identity of the caller's choice.

Prefect itself counts the calls of a flow to know which child is meant when the outer run is executed again. A sweep
that goes on calls its trials in another order and leaves out those that have ended: each would get the run, and even
the result, of another one. Prefect also takes five more requests for a child, three of them by a client of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import TaskRunCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentTaskRunId
from prefect.client.schemas.objects import FlowRun, State, TaskRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.context import FlowRunContext, TagsContext
from prefect.flow_engine import FlowRunEngine
from prefect.flows import Flow
from prefect.states import Pending, to_state_create


def run_child(child: Flow[..., Any], name: str, key: str, parameters: Mapping[str, Any]) -> State[Any]:
    """Runs the child in this thread; returns its last state.

    Args:
        child: A flow whose function is no coroutine.
        name: The name of its run.
        key: Which child it is: the same whenever the outer run is executed again, and different for each child.
        parameters: The child's parameters, all of them.
    """
    engine = _ChildEngine(flow=child, parameters=dict(parameters), name=name, key=key)
    with engine.start():
        while engine.is_running():
            with engine.run_context():
                engine.call_flow_fn()
    return cast("State[Any]", engine.state)


@dataclass
class _ChildEngine(FlowRunEngine[..., Any]):
    name: str = ""
    key: str = ""

    def create_flow_run(self, client: SyncPrefectClient) -> FlowRun:
        """The child's run: a new one, or that of an earlier execution of the outer run, if it hasn't ended."""
        outer = FlowRunContext.get()
        assert outer is not None
        assert outer.flow_run is not None
        # Prefect knows a child by a task run of the outer run, and answers with the one that exists.
        wanted = TaskRunCreate(
            id=None,
            name=f"{self.flow.name}-{self.key}",
            flow_run_id=outer.flow_run.id,
            task_key=self.flow.name,
            dynamic_key=self.key,
            state=to_state_create(Pending()),
        )
        answer = client.request("POST", "/task_runs/", json=wanted.model_dump(mode="json", exclude={"id"}))
        task_run = TaskRun.model_validate(answer.json())
        begun = _newest_run(client, task_run) if outer.flow_run.run_count > 1 else None
        if begun is not None and begun.state is not None and not begun.state.is_final():
            return begun
        return client.create_flow_run(
            flow=self.flow,
            name=self.name,
            parameters=self.flow.serialize_parameters(self.parameters or {}),
            tags=TagsContext.get().current_tags,
            state=Pending(),
            parent_task_run_id=task_run.id,
        )


def _newest_run(client: SyncPrefectClient, task_run: TaskRun) -> FlowRun | None:
    wanted = FlowRunFilter(parent_task_run_id=FlowRunFilterParentTaskRunId(any_=[task_run.id]))
    found = client.read_flow_runs(flow_run_filter=wanted, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=1)
    return found[0] if found else None
