"""`vertex-training sweep`: runs the flow `sweep` in this process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

from cyclopts import Parameter, validators

from ...project.settings.settings import Freeze
from ..load_blocks import load_git_token, load_registry, load_vertex
from ..options import (
    AllowedRegion,
    Fallback,
    GitToken,
    IgnoreRegion,
    Json,
    LauncherOption,
    MaxCost,
    Processes,
    Project,
    Ref,
    RegistryBlock,
    ScriptArgs,
    Subfolder,
    TemporaryServer,
    VertexBlock,
)
from ..output import print_json, print_step
from ..prefect_session import prefect_session
from ..run_page import page_announced

if TYPE_CHECKING:
    from ...flows.trials.sweep_result import SweepResult

_SHOWN = 10
"""Trials in the summary: the best ones."""

_OWN = "Default: as the project's settings say."
_PROJECTS = "project setting"


def sweep(
    project: Project,
    /,
    *,
    space: Annotated[
        tuple[str, ...],
        Parameter(
            help="A parameter of the script, as a line of TOML: 'lr = { log = [1e-5, 1e-1] }' or 'batch = [16, 32]'; "
            "may be given several times, and comes before one of that name in the project's settings."
        ),
    ] = (),
    metric: Annotated[str, Parameter(help=f"The number to improve, as the script reports it. {_OWN}")] = "",
    goal: Annotated[
        Literal["max", "min"] | None, Parameter(help=f"Whether a larger or a smaller number is better. {_OWN}")
    ] = None,
    trials: Annotated[int, Parameter(help=f"How many trials. {_OWN}", validator=validators.Number(gte=0))] = 0,
    parallel: Annotated[int, Parameter(help=f"How many run at once. {_OWN}", validator=validators.Number(gte=0))] = 0,
    max_failures: Annotated[
        int, Parameter(help=f"Ends the sweep when so many have failed. {_OWN}", validator=validators.Number(gte=0))
    ] = 0,
    stop_after: Annotated[
        int,
        Parameter(
            help=f"Ends it after so many trials without a better one. {_OWN}", validator=validators.Number(gte=0)
        ),
    ] = 0,
    algorithm: Annotated[
        Literal["tpe", "random", "grid"] | None,
        Parameter(help=f"How trials are chosen: tpe learns from those so far. {_OWN}"),
    ] = None,
    prune: Annotated[
        Literal["median", "hyperband", "off"] | None,
        Parameter(help=f"Which trials are ended early. {_OWN}"),
    ] = None,
    engine: Annotated[
        Literal["own", "vertex"] | None,
        Parameter(help=f"Who makes the trials: this command, or Vertex AI's tuning service. {_OWN}"),
    ] = None,
    add: Annotated[
        int,
        Parameter(
            help="Adds so many trials to the project's newest sweep, with its image.",
            validator=validators.Number(gte=0),
        ),
    ] = 0,
    earlier: Annotated[
        str, Parameter(name="--continue", help="The id of a sweep to go on with, in place of the newest one.")
    ] = "",
    ref: Ref = "",
    subfolder: Subfolder = "",
    git_token: GitToken = None,
    registry: RegistryBlock = None,
    vertex: VertexBlock = None,
    builder: Annotated[
        Literal["auto", "direct", "docker"], Parameter(help="Who builds the image, as for `run`.")
    ] = "auto",
    verify: Annotated[
        Literal["auto", "here", "locked", "image", "off"],
        Parameter(help="Which Python the local run uses, as for `run`; it gets the arguments of a trial."),
    ] = "auto",
    freeze: Annotated[Freeze, Parameter(help="Which list of dependencies is frozen, as for `run`.")] = "auto",
    translate: Annotated[bool, Parameter(help="Translate a conda list for pip, as for `run`.")] = False,
    refresh: Annotated[bool, Parameter(help="Verify and freeze again even if nothing changed.")] = False,
    size_limit_mb: Annotated[
        float,
        Parameter(help="Largest size of the project's files together, in megabytes; 0: as the project's settings say."),
    ] = 0,
    max_cost: MaxCost = 0,
    launcher: LauncherOption = None,
    processes: Processes = 0,
    data: Annotated[
        tuple[str, ...], Parameter(help="A data set that each trial gets, as for `run`; may be given several times.")
    ] = (),
    fallback: Fallback = (),
    allowed_region: AllowedRegion = (),
    ignore_region: IgnoreRegion = (),
    temporary_server: TemporaryServer = False,
    as_json: Json = False,
    script_args: ScriptArgs = (),
) -> int:
    """Search the parameters of PROJECT's script: many trials, one image, the best model.

    The first trial runs with the project's own values. Arguments after `--` are passed to the script in every trial,
    before those of the trial.
    """
    from ...core.home import Home
    from ...project.run_secrets import refuse_given_secrets
    from ...project.snapshot import Project as Snapshot
    from ...project.source import check_source, is_git
    from ..pruning.home_pruning import prune_when_due

    project = str(project)
    check_source(project, ref, subfolder, token=git_token is not None)
    print_step("project", project)
    refuse_given_secrets(args=script_args, root=None if is_git(project) else Path(project) / subfolder)
    choices = {
        "space": list(space), "metric": metric, "goal": goal or _PROJECTS, "trials": trials, "parallel": parallel,
        "max_failures": max_failures, "stop_after": stop_after, "algorithm": algorithm or _PROJECTS,
        "prune": prune or _PROJECTS, "engine": engine or _PROJECTS,
    }  # fmt: skip
    if not is_git(project):  # a mistake in the search is told at once, before the slow import of Prefect
        from ...project.settings.sweep_settings import chosen

        found = Snapshot.open(Path(project) / subfolder, Home.default(), size_limit_mb=size_limit_mb or None)
        own = {name: value for name, value in choices.items() if value != _PROJECTS and name != "space"}
        chosen(found.settings.sweep, {**own, "trials": max(trials, parallel) if add else trials}, list(space))
    with prefect_session(temporary=temporary_server, heartbeats=False) as kept, page_announced(kept):
        from ...flows.form import RunMachine
        from ...flows.sweep import sweep as sweep_flow
        from ...flows.trials.sweep_form import SweepChoices

        result = sweep_flow(
            project=project,
            args=list(script_args),
            search=SweepChoices(**choices),
            machine=RunMachine(max_cost=max_cost, launcher=launcher or _PROJECTS, processes=processes),
            registry=load_registry(registry),
            vertex=load_vertex(vertex),
            add=add,
            earlier=earlier,
            ref=ref,
            subfolder=subfolder,
            git_token=load_git_token(git_token),
            builder=builder,
            freeze=freeze,
            translate=translate,
            data=list(data),
            fallback=list(fallback),
            allowed_regions=list(allowed_region),
            ignore_regions=list(ignore_region),
            verify=verify,
            refresh=refresh,
            size_limit_mb=size_limit_mb,
        )
    prune_when_due(Home.default())
    _print_summary(result, sys.stderr if as_json else sys.stdout)
    if as_json:
        print_json(result.to_dict())
    return 0


def _print_summary(result: SweepResult, stream: TextIO) -> None:
    """Prints the best trials, and the best one's model."""
    done = [each for each in result.trials if each.metric is not None and each.state == "completed"]
    done.sort(key=lambda each: each.metric or 0.0, reverse=result.goal == "max")
    width = max(len(result.metric), 10)
    lines = ["", f"{'trial':>5}  {result.metric:>{width}}  {'seconds':>8}  parameters"]
    for each in done[:_SHOWN]:
        values = " ".join(f"{name}={value}" for name, value in each.parameters.items()) or "the project's own values"
        lines.append(f"{each.number:>5}  {each.metric:>{width}.6g}  {each.seconds:>8.1f}  {values}")
    others = {state: sum(each.state == state for each in result.trials) for state in ("pruned", "failed")}
    counts = ", ".join(f"{count} {state}" for state, count in others.items() if count)
    lines.append(f"{len(result.trials)} trials{f', of them {counts}' if counts else ''}; ended: {result.ended}")
    lines += ["", f"image  {result.image}", f"job    {result.best.job}", f"model  {result.best.model}"]
    lines += [f"sweep  {result.sweep}  (more trials: --add 20)"]
    stream.write("\n".join(lines) + "\n")
