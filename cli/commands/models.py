"""`vertex-training models`: lists the models that runs left, with their metrics and places."""

from __future__ import annotations

from ..options import Json, Limit, ProjectName, VertexBlock
from ..output import print_json, print_message
from ..past_runs.find_runs import place_of_jobs, project_name, recorded_runs
from ..past_runs.known_runs_table import plain, print_models

_RUNS_FOR_A_MODEL = 5
"""How many runs are looked at for each model that is wanted: some runs fail."""


def models(
    project: ProjectName = "", /, *, vertex: VertexBlock = None, limit: Limit = 20, as_json: Json = False
) -> None:
    """List the newest models, of PROJECT or of all projects, with size, metrics and place.

    A model is known by the receipt that its run wrote beside it.
    """
    name = project_name(project)
    with place_of_jobs(vertex) as connection:
        looked_at = recorded_runs(connection, name, _RUNS_FOR_A_MODEL * limit)
    found = [run for run in looked_at if run.model][:limit]
    if as_json:
        print_json([plain(run) for run in found])
    elif found:
        print_models(found)
        print_message("download one: vertex-training download RUN FOLDER" + (f" --vertex {vertex}" if vertex else ""))
    else:
        print_message(f"no models{f' of {name}' if name else ''} yet")
