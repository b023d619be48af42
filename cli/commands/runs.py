"""`vertex-training runs`: lists what ran, with state, metrics and model."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from ..options import Json, Limit, ProjectName, VertexBlock
from ..output import print_json, print_message
from ..past_runs.find_runs import known_runs, place_of_jobs, project_name
from ..past_runs.known_runs_table import plain, print_costs, print_runs


def runs(
    project: ProjectName = "",
    /,
    *,
    vertex: VertexBlock = None,
    limit: Limit = 20,
    costs: Annotated[
        bool,
        Parameter(help="List what all jobs of the last twelve months cost, by month and project, in place of runs."),
    ] = False,
    as_json: Json = False,
) -> None:
    """List the newest training runs, of PROJECT or of all projects, with state, cost, model and metrics.

    Without `--vertex`: the runs of this machine, and those that Prefect's server knows. Costs are in USD, by list
    prices; those of jobs on this machine are empty.
    """
    from ...flows.history.known_run import HERE
    from ...vertex.receipt.monthly_costs import monthly_costs

    name = project_name(project)
    with place_of_jobs(vertex) as connection:
        # One more list call, and only where jobs cost something.
        sums = monthly_costs(connection, name) if connection and (costs or vertex) else []
        found = [] if costs else known_runs(connection, name, limit)
    if as_json:
        print_json([asdict(cost) for cost in sums] if costs else [plain(run) for run in found])
    elif costs and sums:
        print_costs(sums)
    elif found:
        print_runs(found)
        if sums:
            print()
            print_costs(sums)
        if vertex is None and any(run.place != HERE for run in found):
            print_message("models and metrics of runs in the cloud: add --vertex BLOCK")
    else:
        print_message(f"no runs{f' of {name}' if name else ''} yet")
