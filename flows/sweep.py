"""The sweep flow: verify, freeze, build and push once, then trials of the script's parameters, and the best model."""

# No `from __future__ import annotations` here, for the reason given in train.py.

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Annotated, Any, Literal

from prefect.blocks.system import Secret
from prefect.runtime import flow_run as current_run
from pydantic import Field

from ..core.errors import ProjectError
from ..core.output_folders import mounted_path
from ..datasets.data_record import DataRecord, data_facts
from ..images.plan import Builder
from ..project.git import revision
from ..project.settings.search_space import middle_of
from ..project.settings.settings import Freeze, Verify
from ..project.settings.sweep_settings import SweepSettings
from ..run_history import RunScope, run_scope
from ..runtime.tuning import tuning_variable
from ..runtime.tuning.hypertune_file import HYPERTUNE_VARIABLE, TRIAL_VARIABLE
from ..sweeps.metric_values import HYPERTUNE_FILE
from ..sweeps.stop_rules import refuse_nothing_found
from ..sweeps.study_search import Search, import_optuna
from ..sweeps.trial_arguments import trial_arguments
from ..sweeps.trial_records import SweepPlan, TrialPlan, TrialRecord
from ..tasks.reporting.links import run_page
from ..tasks.reporting.step_log import step_log
from ..tasks.step_results import step_result
from ..vertex.job_types import JobDescription, JobRequest, Origin
from ..vertex.labels import RUN_LABEL, SWEEP_LABEL, TRIAL_LABEL
from ..vertex.preflight.training_quotas import jobs_at_once
from ..vertex.pricing.cost_cap import HOUR, capped_time_limit
from ..vertex.submit.attempt_budget import starts_of_a_job
from ..vertex.submit.submission import job_key
from ..vertex.tuning.study_spec import to_tuning_job
from .block_parameters import RegistryParameter, VertexParameter
from .form import Picker, RunMachine, titled, with_choices
from .job_request import RunName, current_run_name, describe_job, variables_key
from .planning.processor_share import thread_variables
from .planning.training_plan import Place, TrainingPlan, plan_training
from .preparation.async_form import in_thread, with_parameters_of
from .preparation.opened_project import (
    NO_USER_INFO,
    Opened,
    ProjectSource,
    Source,
    check_cloud,
    log_warnings,
    opened_project,
)
from .preparation.shared_steps import Prepared, prepare
from .screening.checked_flow import checked_flow
from .step_runner import Steps
from .summary_page import summarized
from .trials.record_store import SweepRecords, last_sweep
from .trials.script_values import script_values
from .trials.stop_sweep import stop_sweep
from .trials.sweep_form import SweepChoices, searched
from .trials.sweep_page import SweepPage
from .trials.sweep_result import SweepResult, trial_result
from .trials.trial_list import TrialList, TrialSite, site_of
from .trials.trial_loop import TrialLoop, restored
from .trials.tuning_run import run_tuning


@checked_flow(name="sweep", on_cancellation=[stop_sweep], on_crashed=[stop_sweep])
def sweep(  # noqa: PLR0917 - Prefect names every parameter
    project: Annotated[Source, titled("Project", pattern=NO_USER_INFO)],
    args: Annotated[list[str], titled("Arguments")] = [],  # noqa: B006 - never changed, and shown as the default
    search: Annotated[SweepChoices, titled("Search")] = SweepChoices(),  # noqa: B008 - likewise
    machine: Annotated[RunMachine, titled("Machine of each trial")] = RunMachine(),  # noqa: B008 - likewise
    registry: Annotated[RegistryParameter | None, Picker(), titled("Registry")] = None,
    vertex: Annotated[VertexParameter | None, Picker(), titled("Vertex AI")] = None,
    add: Annotated[int, Field(ge=0), titled("Add trials to an earlier sweep")] = 0,
    earlier: Annotated[str, titled("The earlier sweep's id")] = "",
    ref: Annotated[str, titled("Git: branch, tag or commit")] = "",
    subfolder: Annotated[str, titled("Git: subfolder")] = "",
    git_token: Annotated[Secret | None, Picker(), titled("Git: token")] = None,
    builder: Annotated[Builder, titled("Image: builder")] = "auto",
    freeze: Annotated[Freeze, titled("Dependencies: list")] = "auto",
    translate: Annotated[bool, titled("Dependencies: translate conda")] = False,
    data: Annotated[list[str], titled("Data sets")] = [],  # noqa: B006 - as for `args`
    fallback: Annotated[list[str], titled("Fall-back list")] = [],  # noqa: B006 - as for `args`
    allowed_regions: Annotated[list[str], titled("Fall-back: allowed regions")] = [],  # noqa: B006 - likewise
    ignore_regions: Annotated[list[str], titled("Fall-back: ignored regions")] = [],  # noqa: B006 - likewise
    verify: Annotated[Literal["auto", Verify], titled("Checks: local run")] = "auto",
    refresh: Annotated[bool, titled("Checks: refresh")] = False,
    size_limit_mb: Annotated[float, Field(ge=0), titled("Checks: size limit, MB")] = 0,
) -> SweepResult:
    """Searches the parameters of a project's script, and finds the best model.

    Args:
        project: A folder on the machine that runs this flow, or a git repository's address.
        args: The training script's arguments, one word a line, before those of each trial.
        search: What is searched, where it differs from the project's own settings.
        machine: The machine of each trial's job, where it differs from the project's own settings.
        registry: Where the image is pushed; without one it stays on the machine that runs this flow.
        vertex: Where the jobs run; without one on the machine that runs this flow.
        add: How many trials to add to an earlier sweep of this project; 0 begins a new one.
        earlier: The sweep to go on with; empty for the project's newest one.
        ref: Branch, tag or whole commit hash to train; empty for the default branch.
        subfolder: The project's folder inside the repository; empty for the repository itself.
        git_token: A Secret block with the access token of a private repository.
        builder: direct: in layers, without Docker; docker: by the project's Dockerfile; auto: docker if there is one.
        freeze: Which list of dependencies is used; auto: project setting, else what is there.
        translate: Translate a conda list into one for pip, with a report of what has no counterpart.
        data: Data sets beside those of the project, one a line, as NAME=PATH or NAME=gs://BUCKET/FOLDER.
        fallback: Places for each trial when the job's own has no machines, as for a training; empty: project setting.
        allowed_regions: Regions to which data may go, one a line; empty: project setting.
        ignore_regions: Regions that are neither asked nor used, because they don't answer and surely have no job.
        verify: As for a training; the script runs here with a trial's arguments.
        refresh: Verify and freeze again, and look for a newer base image, even if nothing changed.
        size_limit_mb: Size limit of the project's files in megabytes; 0: project setting.

    Raises:
        TrainingError: One line: what was wrong, where, and the next step.
    """
    begin, steps = time.monotonic(), Steps()
    import_optuna()
    choices = partial(
        with_choices,
        machine=machine,
        verify=verify,
        freeze=freeze,
        translate=translate,
        data=data,
        fallback=fallback,
        allowed_regions=allowed_regions,
    )
    source = ProjectSource(project, ref, subfolder, git_token, size_limit_mb)
    with opened_project(source, choices, vertex=vertex, registry=registry, steps=steps) as opened:
        snapshot = opened.project
        scope = run_scope("sweep", snapshot.settings.name, *args)
        records = SweepRecords(_sweep_id(snapshot.settings.name, scope, add=add, earlier=earlier))
        known, plan = records.trials(), records.plan()
        settings = searched(snapshot.settings, search, add, len(known))
        snapshot.settings = replace(snapshot.settings, sweep=settings)
        run = _SweepRun(opened, settings, vertex, registry, steps, records, scope, args, builder)
        run.check(adds=bool(add), ignored=ignore_regions)
        with summarized(snapshot.settings.name, steps):
            return run.result(plan, known, refresh=refresh, begin=begin)


@with_parameters_of(sweep)
async def asweep(*args: Any, **parameters: Any) -> SweepResult:  # noqa: ANN401 - those of `sweep`
    """As `sweep`, for asynchronous flows: the event loop goes on, and several sweeps can run at once.

    When the calling task is cancelled, the run ends as a cancelled `sweep` does: the trials' jobs are cancelled first.
    """
    return await in_thread(sweep, *args, **parameters)


# As for `train`.
sweep.result_serializer = step_result("flows.trials.sweep_result.SweepResult")


def _sweep_id(project: str, scope: RunScope, *, add: int, earlier: str) -> str:
    """The id of the sweep: that of an earlier one, or one that stays the same whenever this run is executed again."""
    if earlier or add:
        return earlier or last_sweep(project)
    return f"s{hashlib.sha256(scope.key.encode()).hexdigest()[:15]}"


class _SweepRun:
    """One execution of a sweep."""

    def __init__(  # noqa: PLR0917 - it is made in one place
        self,
        opened: Opened,
        settings: SweepSettings,
        vertex: Any,  # noqa: ANN401 - a VertexAI block
        registry: Any,  # noqa: ANN401 - a ContainerRegistry block
        steps: Steps,
        records: SweepRecords,
        scope: RunScope,
        args: list[str],
        builder: Builder,
    ) -> None:
        self.opened = opened
        project, connection = self.project, self.connection = opened
        self.settings = settings
        self.vertex = vertex
        self.registry = registry
        self.steps = steps
        self.records = records
        self.scope = scope
        self.builder: Builder = builder
        place = Place(connection.region, connection.bucket, vertex)
        self.planned: TrainingPlan = plan_training(project, args, place, current_run_name(), builder=builder)
        self.arguments = list(self.planned.arguments)
        self.log = step_log("sweep")
        self.trials: Sequence[TrialRecord] = ()
        self.list: TrialList | None = None
        self.args = args

    def check(self, *, adds: bool, ignored: Sequence[str]) -> None:
        """What can be refused before anything is built.

        Args:
            adds: Whether trials are to be added to an earlier sweep.
            ignored: Regions of the fall-back list that are left out.
        """
        if self.settings.engine == "vertex":
            to_tuning_job(self.settings)
            if adds:
                raise ProjectError(
                    "a tuning job of Vertex AI takes no more trials once it exists",
                    where="add",
                    next_step='Begin a new sweep with more trials, or set engine = "own"',
                )
        log_warnings(self.planned)
        if self.settings.engine == "vertex" and self.project.settings.fallback.is_set:
            self.log(f"warning: the fall-back list is not used: the service's trials run in {self.connection.region}")
        elif self.project.settings.fallback.is_set:
            place = Place(self.connection.region, self.connection.bucket, self.vertex)
            self.list = TrialList.planned(
                self.project, self.args, place, self.connection, builder=self.builder, ignored=ignored
            )
        job = jobs_at_once(self.planned.job, self.settings.parallel)
        if self.vertex and self.registry and self.settings.parallel > 1:
            self.log(f"the quota has to hold {self.settings.parallel} trials at once")
        check_cloud(self.steps, self.opened, job, vertex=self.vertex, registry=self.registry)

    def result(self, plan: SweepPlan | None, known: list[TrialRecord], *, refresh: bool, begin: float) -> SweepResult:
        """Runs the trials that are missing."""
        plan, new = self._plan(plan, known, refresh=refresh)
        known = self._taken_up(known, plan, new=new)
        rate = self.planned.cost.rate.usd if self.planned.cost else None
        logarithmic = frozenset(each.name for each in self.settings.space if each.kind == "log" or each.log)
        page = SweepPage(plan, rate, logarithmic, self.connection.console)
        self.log(f"sweep {plan.id}: {plan.metric}, goal {plan.goal}, {self.settings.trials} trials")
        if self.settings.engine == "vertex":
            ended = ""
            records = run_tuning(
                self.steps, self.connection, plan, settings=self.settings, first=self._tuning(plan), page=page
            )
        else:
            records, ended = self._own_trials(plan, known, page)
        best = refuse_nothing_found(records, plan)
        self.log(f"ended{f': {ended}' if ended else ''}; the best is trial {best.number}")
        trials = [trial_result(each, rate, plan.arguments) for each in records]
        found = next(each for each in trials if each.number == best.number)
        pages = {"run": run_page(str(current_run.id)), "best": run_page(found.run) if found.run else ""}
        return SweepResult(
            sweep=plan.id,
            metric=plan.metric,
            goal=plan.goal,
            image=plan.image,
            best=found,
            trials=trials,
            ended=ended or f"{len(trials)} trials",
            steps=self.steps.reports,
            seconds=time.monotonic() - begin,
            links={what: address for what, address in pages.items() if address},
        )

    def _own_trials(self, plan: SweepPlan, known: list[TrialRecord], page: SweepPage) -> tuple[list[TrialRecord], str]:
        """The trials of the own engine, and why no further one was begun."""
        search = Search(self.settings, script_values(self.project, self.arguments))
        restored(search, known)
        loop = TrialLoop(
            known,
            plan=plan,
            settings=self.settings,
            store=self.records,
            search=search,
            describe=partial(self._trial, plan),
            page=page,
            bring=partial(self._near, plan),
            vertex=self.vertex,
            connection=self.connection,
            retries=self.scope.retries,
        )
        self.trials = loop.records
        loop.run()
        return loop.records, loop.ended

    def _tuning(self, plan: SweepPlan) -> TrialPlan:
        """The job of all trials of Vertex AI's tuning service, which adds the parameters and a folder for each."""
        made = self._trial(plan, 0, {})
        request, output = made.request, made.request.output.removesuffix("-t000")
        own = (TRIAL_VARIABLE, HYPERTUNE_VARIABLE)
        return replace(
            made,
            key=job_key(made.key, "tuning", str(self.settings.trials)),
            request=replace(
                request,
                output=output,
                env={
                    **{name: text for name, text in request.env.items() if name not in own},
                    **tuning_variable.encode(tuning_variable.Tuning(plan.metric, output)),
                },
                labels={**request.labels, RUN_LABEL: str(current_run.id)},
            ),
        )

    def _plan(self, plan: SweepPlan | None, known: Sequence[TrialRecord], *, refresh: bool) -> tuple[SweepPlan, bool]:
        """The sweep's record, and whether it is new.

        One in which a trial has completed goes on with its image: nothing is built again.
        """
        search = json.dumps(_search_facts(self.settings), sort_keys=True)
        if plan is not None and plan.search != search:
            raise ProjectError(
                f"the search has changed since the sweep {plan.id} began",
                where="metric, goal or space",
                next_step="Put it back to add trials, or begin a new sweep without --add",
            )
        if plan is not None and any(each.end and each.end.state == "completed" for each in known):
            self.arguments = list(plan.arguments)
            self.log(f"going on with {plan.id}: {len(known)} trials are recorded, and its image is {plan.image}")
            return plan, False
        sample = trial_arguments(self.settings, middle_of(self.settings.space))
        prepared = prepare(
            self.steps,
            self.project,
            self.connection,
            [*self.arguments, *sample],
            registry=self.registry,
            builder=self.builder,
            refresh=refresh,
        )
        made = SweepPlan(
            id=self.records.sweep,
            project=self.project.settings.name,
            search=search,
            metric=self.settings.metric,
            goal=self.settings.goal,
            measurement=self.settings.measurement,
            image=prepared.image.reference,
            arguments=self.arguments,
            origin=self._origin(prepared),
            data=prepared.data,
            allowed=self.planned.allowed,
        )
        self.records.write_plan(made)
        self.records.remember_as_last(made.project)
        return made, True

    def _origin(self, prepared: Prepared) -> Origin:
        """What the models are trained from."""
        return Origin(
            self.project.fingerprint,
            revision(self.project.root),
            prepared.lock.digest,
            verified=self.project.settings.verify != "off",
            data=[data_facts(each) for each in prepared.data],
        )

    def _taken_up(self, known: list[TrialRecord], plan: SweepPlan, *, new: bool) -> list[TrialRecord]:
        """The recorded trials; after a person's retry, those that failed are to run again."""
        found = []
        for each in known:
            retried = each.end is not None and each.end.state == "failed" and each.end.retry < self.scope.retries
            if new and (each.end is None or retried):
                made = self._trial(plan, each.number, each.plan.values)
                if made.key != each.plan.key:
                    self._forget(each.plan.key)
                    self.records.write_trial(made)
                    each = TrialRecord(made)  # noqa: PLW2901
            found.append(TrialRecord(each.plan) if retried else each)
        return found

    def _time_limit(self, job: JobDescription) -> float:
        """How long a new trial may run: its share of what is left of max-cost, beside those that run already.

        The trials of a tuning job can't be stopped one by one: each gets an equal share.

        Raises:
            VertexError: Nothing is left.
        """
        cap, rate = self.project.settings.job.max_cost, self.planned.cost.rate.usd if self.planned.cost else None
        if rate and self.list:  # whichever place the trials get, the cap holds
            rate = max(rate, self.list.highest_rate)
        if cap is None or not rate:
            return job.timeout
        starts = starts_of_a_job(job)
        running = [each.plan.request.timeout * starts for each in self.trials if each.end is None]
        gone = (sum(each.end.seconds for each in self.trials if each.end) + sum(running)) * rate / HOUR
        tuned = self.settings.engine == "vertex"
        free = self.settings.trials if tuned else max(1, self.settings.parallel - len(running))
        used = cap - (cap - gone) / free
        return capped_time_limit(rate, job.timeout, cap=cap, used=used, starts=starts, where="sweep")

    def _forget(self, key: str) -> None:
        """Ends what may run of a trial whose code has changed."""
        from ..vertex.labels import REQUEST_LABEL
        from ..vertex.submit.cancellation import cancel_by_key

        for connection in [self.connection, *(self.list.elsewhere(self.connection) if self.list else [])]:
            cancel_by_key(connection, key, label=REQUEST_LABEL)

    def _trial(self, plan: SweepPlan, number: int, values: Mapping[str, Any]) -> TrialPlan:
        """The plan of one trial: its arguments and its job."""
        own = trial_arguments(self.settings, values)
        arguments = [*self.arguments, *own]
        site, listed = site_of(self.planned), self.list
        job = self._job(plan, number, arguments, site, plan.data)
        timeout = self._time_limit(job)
        facts = [plan.image, *arguments, *variables_key(self.project.settings)]
        machine = sorted(
            f"{name}={value}" for name, value in asdict(self.project.settings.job).items() if name != "max_cost"
        )
        key = job_key(plan.id, str(number), *facts, *machine, *([listed.key] if listed else []))
        request = replace(job, timeout=timeout).with_image(plan.image)
        made = TrialPlan(number, dict(values), own, key, request, self.scope.retries)
        if listed is None:
            return made

        def there(site: TrialSite) -> JobRequest:
            at = self._job(plan, number, arguments, site, plan.data)
            return replace(at, timeout=min(at.timeout, timeout)).with_image(plan.image)

        return replace(made, places=listed.places(there), rounds=listed.rounds, ignored=listed.ignored)

    def _near(self, plan: SweepPlan, trial: TrialPlan, entry: int) -> JobRequest:
        """The request of a trial at a place of its list, once image and data are there."""
        assert self.list is not None
        image, data = self.list.bring(entry, self.registry, plan)
        job = self._job(plan, trial.number, [*self.arguments, *trial.arguments], self.list.sites[entry], data)
        return replace(job, timeout=trial.places[entry].request.timeout).with_image(image)

    def _job(
        self, plan: SweepPlan, number: int, arguments: list[str], site: TrialSite, data: Sequence[DataRecord]
    ) -> JobDescription:
        """The job of a trial at a place, all but its image."""
        name = RunName(f"{plan.id}-t{number:03}", f"{self.project.settings.name} trial {number}")
        job = describe_job(site.project, arguments, site.bucket, site.block, name, builder=self.builder, data=data)
        file = f"{mounted_path(job.output)}/{HYPERTUNE_FILE}"
        shared = thread_variables(self.settings.parallel) if site.block is None else {}
        return replace(
            job,
            env={**shared, **job.env, TRIAL_VARIABLE: str(number), HYPERTUNE_VARIABLE: file},
            labels={**job.labels, **site.cost, SWEEP_LABEL: plan.id, TRIAL_LABEL: str(number)},
        )


def _search_facts(settings: SweepSettings) -> dict[str, Any]:
    """What decides whether trials can be compared."""
    names = ("metric", "goal", "measurement", "argument", "template", "space")
    return {name: value for name, value in asdict(settings).items() if name in names}
