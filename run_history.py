"""What a request for a job needs to know of its flow run: which run it belongs to, and how often a person retried it.

Prefect's engine starts a run again after its automatic retry, after a person's Retry, and after its process was lost.
Only a person has had the chance to put right what failed, so only then another job is paid for after a failure that the
user must fix.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from uuid import UUID, uuid4

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext, TaskRunContext


class RunScope(NamedTuple):
    """The flow run that a request belongs to.

    Attributes:
        key: Part of the request's key: the same whenever the run is executed again, and different for every other run.
        retries: How often a person has retried the run.
    """

    key: str
    retries: int


def run_scope(*inputs: str) -> RunScope:
    """The scope of a request in the current flow run; outside of one a new scope on every call.

    A flow that is called by another flow gets a new run with a new id when the outer one is retried. Its requests
    belong to the outermost run, and are told apart by their inputs and by the order of their calls.

    Args:
        inputs: What tells the request from others.

    Raises:
        Exception: Prefect's server gave no answer, after the retries of Prefect's client.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None:
        return RunScope(str(uuid4()), 0)
    if run.parent_task_run_id is None and run.run_count <= 1:
        return RunScope(str(run.id), 0)  # as in most runs, there is nothing to ask the server for
    with get_client(sync_client=True) as client:
        runs = [run, *outer_runs(client, run)]
        retries = sum(_retries_of(client, found) for found in runs)
    if len(runs) == 1:
        return RunScope(str(run.id), retries)
    root = str(runs[-1].id)
    number = _CALLS.number((root, *(str(found.run_count) for found in runs[1:]), *inputs), _caller(run))
    return RunScope(" ".join((root, str(number), *inputs)), retries)


def retries_within(outer: int) -> int:
    """How often a person retried the current flow run, or one around it.

    Args:
        outer: How often the runs around it were retried, together.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or run.run_count <= 1:
        return outer
    with get_client(sync_client=True) as client:
        return outer + _retries_of(client, run)


def retries_by_person(states: Iterable[State[object]]) -> int:
    """How often a person retried a run: each scheduled state directly after a final one, once the run had begun.

    A retry in the UI, by `prefect flow-run retry` and by the API differ in the state's name, and Prefect's count of
    runs also counts automatic retries. An automation that schedules a run which had ended can't be told from a person.

    Args:
        states: The run's states, oldest first.
    """
    count, begun, ended = 0, False, False
    for state in states:
        count += begun and ended and state.is_scheduled()
        begun, ended = begun or state.is_running(), state.is_final()
    return count


def _retries_of(client: SyncPrefectClient, run: FlowRun) -> int:
    # The first execution has nothing before it, and most runs have no other: no request for those.
    return retries_by_person(client.read_flow_run_states(run.id)) if run.run_count > 1 else 0


def outer_runs(client: SyncPrefectClient, run: FlowRun) -> Iterator[FlowRun]:
    """The flow runs around a run, the innermost first."""
    while run.parent_task_run_id is not None:
        outer = client.read_task_run(run.parent_task_run_id).flow_run_id
        if outer is None:
            return
        run = client.read_flow_run(outer)
        yield run


def _caller(run: FlowRun) -> UUID:
    """What called a flow in another one: the task around it, whose own retries keep its id, or the run itself."""
    context = TaskRunContext.get()
    return run.id if context is None or context.task_run.flow_run_id == run.id else context.task_run.id


class _Calls:
    """Numbers the callers of equal requests of one execution of a flow in this process, in the order of their calls."""

    def __init__(self) -> None:
        self._callers: dict[tuple[str, ...], list[UUID]] = {}
        self._lock = threading.Lock()

    def number(self, request: tuple[str, ...], caller: UUID) -> int:
        """The number of a caller, from 0; the same for each of its calls."""
        with self._lock:
            callers = self._callers.setdefault(request, [])
            if caller not in callers:
                callers.append(caller)
            return callers.index(caller)


_CALLS = _Calls()
