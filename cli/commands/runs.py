"""`vertex-training runs`: lists what ran, with state, metrics and model."""

from __future__ import annotations

from ..options import Json, Limit, ProjectName, VertexBlock
from ..output import print_json, print_message
from ..past_runs.find_runs import known_runs, place_of_jobs, project_name
from ..past_runs.known_runs_table import plain, print_runs


def runs(project: ProjectName = "", /, *, vertex: VertexBlock = None, limit: Limit = 20, as_json: Json = False) -> None:
    """List the newest training runs, of PROJECT or of all projects, with state, model and metrics.

    Without `--vertex`: the runs of this machine, and those that Prefect's server knows.
    """
    from ...flows.history.known_run import HERE

    name = project_name(project)
    with place_of_jobs(vertex) as connection:
        found = known_runs(connection, name, limit)
    if as_json:
        print_json([plain(run) for run in found])
    elif found:
        print_runs(found)
        if vertex is None and any(run.place != HERE for run in found):
            print_message("models and metrics of runs in the cloud: add --vertex BLOCK")
    else:
        print_message(f"no runs{f' of {name}' if name else ''} yet")
