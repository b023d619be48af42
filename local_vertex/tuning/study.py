"""One tuning job: its trials from the first proposal to the last measurement."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ...project.settings.search_space import Value
from ...runtime.tuning.hypertune_file import HYPERTUNE_VARIABLE, TRIAL_VARIABLE
from ...sweeps.metric_values import HYPERTUNE_FILE, Point, hypertune_points, measured, new_points
from ...sweeps.study_search import Search
from ...sweeps.trial_records import TrialEnd
from ..api.collections.tuning_jobs import KIND
from ..api.fields.job_times import set_time
from ..api.jobs import JobsApi
from ..api.schema import Generated, Schema
from ..api.status import ApiError
from ..endpoint import BUCKET
from ..location import Location
from ..store.records import TERMINAL, JobRecord, ResourceRecord
from ..store.store import Store
from .study_space import as_argument, search_of

_V1 = "google.cloud.aiplatform.v1"
REQUESTED, ACTIVE, STOPPING, SUCCEEDED, INFEASIBLE = 1, 2, 3, 4, 5
_OPEN = (REQUESTED, ACTIVE, STOPPING)
_FAILED_PRECONDITION, _CANCELLED = 9, 1
_FILE_SECONDS = 0.5
"""Seconds between two looks at the file of a running trial."""


class Study:
    """A tuning job that has not ended.

    Args:
        location: Its project and region.
        id_: The last part of its name.
        jobs: Makes and cancels the custom jobs of its trials.
        store: Where it is stored.
        schema: The message classes.
        read_file: The text of a file in a bucket, by its gs:// URI; empty where there is none.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        location: Location,
        id_: str,
        *,
        jobs: JobsApi,
        store: Store,
        schema: Schema,
        read_file: Callable[[str], str],
        clock: Callable[[], float],
    ) -> None:
        self._location = location
        self._id = id_
        self._jobs = jobs
        self._store = store
        self._schema = schema
        self._read_file = read_file
        self._clock = clock
        self._class = schema[f"{_V1}.HyperparameterTuningJob"]
        self._looked: dict[str, float] = {}
        self._search: Search | None = None

    def step(self) -> bool:
        """Does what is due; returns whether the tuning job has ended."""
        record = self._store.resources.get(KIND, self._location.project_id, self._location.region, self._id)
        if record is None or record.state in TERMINAL:
            return True
        job = self._class.FromString(record.message)
        before = record.message, record.state
        for trial in job.trials:
            if trial.state in _OPEN:
                self._look_at(job, trial)
        if record.state == "JOB_STATE_CANCELLING":
            self._cancel_trials(job)
        else:
            self._go_on(record, job)
        self._maybe_end(record, job)
        record.message = job.SerializeToString()
        if (record.message, record.state) != before:
            record.update_time = self._clock()
            self._store.resources.save(record)
        return record.state in TERMINAL

    def fail(self, text: str) -> None:
        """Ends the tuning job with an error."""
        record = self._store.resources.get(KIND, self._location.project_id, self._location.region, self._id)
        if record is not None and record.state not in TERMINAL:
            self._end(record, "JOB_STATE_FAILED", text)
            self._store.resources.save(record)

    # Trials

    def _go_on(self, record: ResourceRecord, job: Generated) -> None:
        """Proposes trials while there is room."""
        if record.state == "JOB_STATE_PENDING":
            record.state, record.start_time = "JOB_STATE_RUNNING", self._clock()
        if self._failed_too_often(job):
            self._cancel_trials(job)
            return
        search = self._known_search(job)
        while len(job.trials) < job.max_trial_count and self._open(job) < job.parallel_trial_count:
            number = len(job.trials) + 1
            values = search.propose(number)
            if values is None:
                job.max_trial_count = len(job.trials)
                break
            trial = job.trials.add(id=str(number), state=REQUESTED)
            trial.name = f"{self._location.name}/{KIND}/{self._id}/trials/{number}"
            set_time(trial.start_time, self._clock())
            self._set_parameters(trial, values)
            record.message = job.SerializeToString()
            self._store.resources.save(record)  # before its job, so that no job is made twice
            self._make_job(job, trial)

    def _known_search(self, job: Generated) -> Search:
        if self._search is None:
            self._search = Search(search_of(job), {})
            for trial in job.trials:
                values = {each.parameter_id: _value(each) for each in trial.parameters}
                self._search.restore(int(trial.id), self._typed(job, values), self._end_of(job, trial))
        return self._search

    def _typed(self, job: Generated, values: dict[str, Any]) -> dict[str, Value]:
        whole = {each.name for each in search_of(job).space if each.kind == "int"}
        return {name: int(value) if name in whole else value for name, value in values.items()}

    def _end_of(self, job: Generated, trial: Generated) -> TrialEnd | None:
        if trial.state in _OPEN:
            return None
        metric = job.study_spec.metrics[0].metric_id
        value = next((each.value for each in trial.final_measurement.metrics if each.metric_id == metric), None)
        useful = trial.state == SUCCEEDED and value is not None and math.isfinite(value)
        points = [
            (float(each.step_count), metric_value.value)
            for each in trial.measurements
            for metric_value in each.metrics
            if metric_value.metric_id == metric
        ]
        return TrialEnd(int(trial.id), "completed" if useful else "failed", value=value, points=points)

    def _make_job(self, job: Generated, trial: Generated) -> None:
        """Makes the trial's custom job, unless it exists already."""
        name = f"{job.display_name[:80]} {self._id} trial {trial.id}"[:128]
        found = self._store.find("display_name = ?", [name], limit=1)
        record = found[0][1] if found else None
        if record is None:
            custom = self._schema[f"{_V1}.CustomJob"](display_name=name)
            custom.job_spec.CopyFrom(job.trial_job_spec)
            self._complete(custom.job_spec, trial)
            try:
                record = self._jobs.add(custom, self._location)
                self._jobs.run(record, self._location)
            except ApiError as error:
                self._infeasible(trial, str(error))
                return
        trial.custom_job = f"{self._location.name}/customJobs/{record.id}"
        trial.state = ACTIVE

    def _complete(self, spec: Generated, trial: Generated) -> None:
        """Adds what makes the custom job that of a trial: arguments, variables, an output folder of its own."""
        words = [f"--{each.parameter_id}={as_argument(_value(each))}" for each in trial.parameters]
        variables = {TRIAL_VARIABLE: trial.id, HYPERTUNE_VARIABLE: f"/gcs/{self._file(spec, trial.id)}"}
        for pool in spec.worker_pool_specs:
            task = pool.WhichOneof("task")
            if task is None:
                continue
            program = getattr(pool, task)
            program.args.extend(words)
            for name, value in variables.items():
                program.env.add(name=name, value=value)
        if spec.base_output_directory.output_uri_prefix:
            folder = spec.base_output_directory.output_uri_prefix.rstrip("/")
            spec.base_output_directory.output_uri_prefix = f"{folder}/{trial.id}/"

    def _file(self, spec: Generated, trial: str) -> str:
        """`BUCKET/PATH` of the file in which a trial reports."""
        output = spec.base_output_directory.output_uri_prefix.rstrip("/").removeprefix("gs://")
        return f"{output or f'{BUCKET}/.hypertune/{self._id}'}/{trial}/{HYPERTUNE_FILE}"

    def _look_at(self, job: Generated, trial: Generated) -> None:
        """Brings a trial up to date with its custom job and its file."""
        if not trial.custom_job:
            self._make_job(job, trial)
            return
        record = self._store.get(trial.custom_job.rpartition("/")[2])
        if record is None:
            self._infeasible(trial, "The trial's custom job was deleted.")
            return
        ended = record.state in TERMINAL
        now = self._clock()
        if ended or now >= self._looked.get(trial.id, 0.0) + _FILE_SECONDS:
            self._looked[trial.id] = now
            self._measure(job, trial, record)
        if ended:
            self._finish(job, trial, record)

    def _measure(self, job: Generated, trial: Generated, record: JobRecord) -> None:
        """Appends what the trial has reported since the last look, and stops one that is worse than others."""
        metric = job.study_spec.metrics[0].metric_id
        text = self._read_file(f"gs://{self._file(job.trial_job_spec, trial.id)}")
        points = [Point(int(each.step), each.value) for each in hypertune_points(text, metric)]
        known = [Point(each.step_count, each.metrics[0].value) for each in trial.measurements]
        begin = record.start_time or record.create_time or 0.0
        bad = False
        for point in new_points(known, points):
            measurement = trial.measurements.add(step_count=int(point.step))
            measurement.metrics.add(metric_id=metric, value=point.value)
            measurement.elapsed_duration.FromMilliseconds(int(max(0.0, self._clock() - begin) * 1000))
            bad = self._known_search(job).report(int(trial.id), point.step, point.value) or bad
        if bad and trial.state == ACTIVE and record.state not in TERMINAL:
            trial.state = STOPPING
            self._jobs.cancel_id(record.id)

    def _finish(self, job: Generated, trial: Generated, record: JobRecord) -> None:
        metric = job.study_spec.metrics[0].metric_id
        points = [Point(each.step_count, each.metrics[0].value) for each in trial.measurements]
        search = search_of(job)
        value = measured(points, best=search.measurement == "best", maximize=search.goal == "max")
        stopped = trial.state == STOPPING
        if record.state != "JOB_STATE_SUCCEEDED" and not stopped:
            self._infeasible(trial, record.error_message or f"The trial's job ended as {record.state}.")
        elif value is None:
            self._infeasible(trial, f"The trial reported no measurement of the metric `{metric}`.")
        else:
            last = max(trial.measurements, key=lambda each: each.step_count)
            trial.final_measurement.CopyFrom(last)
            trial.final_measurement.metrics[0].value = value
            trial.state = SUCCEEDED
            set_time(trial.end_time, self._clock())
        end = self._end_of(job, trial)
        if end is not None:
            self._known_search(job).tell(end)

    def _infeasible(self, trial: Generated, reason: str) -> None:
        trial.state = INFEASIBLE
        trial.infeasible_reason = reason
        set_time(trial.end_time, self._clock())

    def _cancel_trials(self, job: Generated) -> None:
        for trial in job.trials:
            if trial.state in _OPEN and trial.custom_job:
                self._jobs.cancel_id(trial.custom_job.rpartition("/")[2])

    # The whole

    def _open(self, job: Generated) -> int:
        return sum(trial.state in _OPEN for trial in job.trials)

    def _failed_too_often(self, job: Generated) -> bool:
        failed = sum(trial.state == INFEASIBLE for trial in job.trials)
        return failed >= (job.max_failed_trial_count or job.max_trial_count)

    def _maybe_end(self, record: ResourceRecord, job: Generated) -> None:
        if self._open(job):
            return
        if record.state == "JOB_STATE_CANCELLING":
            self._end(record, "JOB_STATE_CANCELLED", "CANCELED")
        elif self._failed_too_often(job):
            self._end(record, "JOB_STATE_FAILED", "Too many failed trials: see the trials' custom jobs.")
        elif len(job.trials) >= job.max_trial_count:
            self._end(record, "JOB_STATE_SUCCEEDED", "")

    def _end(self, record: ResourceRecord, state: str, text: str) -> None:
        record.state, record.end_time, record.update_time = state, self._clock(), self._clock()
        if text:
            record.error_code = _CANCELLED if state == "JOB_STATE_CANCELLED" else _FAILED_PRECONDITION
            record.error_message = text

    def _set_parameters(self, trial: Generated, values: dict[str, Value]) -> None:
        for name, value in values.items():
            parameter = trial.parameters.add(parameter_id=name)
            if isinstance(value, str):
                parameter.value.string_value = value
            else:
                parameter.value.number_value = float(value)


def _value(parameter: Generated) -> Any:  # noqa: ANN401 - a number or a text
    kind = parameter.value.WhichOneof("kind")
    return getattr(parameter.value, kind)
