"""Children of a flow run, with a real Prefect server."""

from __future__ import annotations

from uuid import UUID

import pytest
from prefect import flow, tags
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import FlowRun, State
from prefect.flow_engine import run_flow
from prefect.states import Running, Scheduled
from prefect_vertex_training.flows.trials.child_run import run_child

pytestmark = pytest.mark.prefect


def children(run: UUID) -> dict[str, list[FlowRun]]:
    """The runs of a run's children by name, the oldest first."""
    wanted = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run]))
    with get_client(sync_client=True) as client:
        found = sorted(client.read_flow_runs(flow_run_filter=wanted), key=lambda each: str(each.created))
    return {name: [each for each in found if each.name == name] for name in {each.name for each in found}}


def test_a_child_is_known_by_its_key_when_the_outer_run_is_executed_again(prefect_server: str) -> None:
    """Not by the order of calls; one that hasn't ended goes on in its own run, and one that has gets a new one."""
    wanted = ["first", "second"]
    results: dict[str, str] = {}

    @flow(persist_result=True)
    def child(key: str) -> str:
        return f"{key} is done"

    @flow
    def outer() -> str:
        for key in wanted:
            state: State[str] = run_child(child, f"child {key}", key, {"key": key})
            results[key] = state.result(_sync=True)  # pyright: ignore[reportCallIssue]
        return "done"

    with tags("mine"):
        state = outer(return_state=True)
    run = state.state_details.flow_run_id
    assert run is not None
    before = children(run)
    assert {name: (len(found), found[0].tags) for name, found in before.items()} == {
        "child first": (1, ["mine"]),
        "child second": (1, ["mine"]),
    }

    wanted[:] = ["third", "second", "first"]
    results.clear()
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(before["child first"][0].id, Running(), force=True)  # as after a kill
        client.set_flow_run_state(run, Scheduled(), force=True)
        run_flow(outer, flow_run=client.read_flow_run(run))
    after = children(run)

    assert results == {key: f"{key} is done" for key in wanted}
    assert {name: len(found) for name, found in after.items()} == {
        "child first": 1,
        "child second": 2,
        "child third": 1,
    }
    assert all(found[-1].state_name == "Completed" for found in after.values())
