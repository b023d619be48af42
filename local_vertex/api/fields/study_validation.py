"""Validation of CreateHyperparameterTuningJob requests: the study, and the custom job of its trials."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..schema import Generated
from ..status import Violation, invalid, unimplemented
from .label_rule import label_violations
from .validation import check

GRID_SEARCH = 2
LOG_SCALES = (2, 3)
"""Unit log scale, and unit reverse log scale."""

_MAX_DISCRETE = 1000
_NAME = re.compile(r"\S+")
_SPEC = "hyperparameter_tuning_job.study_spec"


def check_tuning_job(job: Generated, custom_job: type) -> None:
    """Checks a HyperparameterTuningJob.

    Args:
        job: The client's message.
        custom_job: The class of CustomJob messages.

    Raises:
        ApiError: It is invalid; the error names every invalid field.
    """
    violations = [*_head(job), *_study(job.study_spec)]
    if violations:
        raise invalid(violations)
    trial = custom_job(display_name=job.display_name)
    trial.job_spec.CopyFrom(job.trial_job_spec)
    check(trial)
    if trial.job_spec.worker_pool_specs[0].WhichOneof("task") is None:
        raise invalid([Violation("trial_job_spec.worker_pool_specs", "The first worker pool has nothing to run.")])
    if len(job.study_spec.metrics) > 1:
        raise unimplemented("A study with several metrics", "Tune one metric.")


def _head(job: Generated) -> Iterator[Violation]:
    if not job.display_name or len(job.display_name) > 128:
        yield Violation("display_name", "The display name is required, and can be up to 128 characters long.")
    yield from label_violations(job.labels, "hyperparameter_tuning_job.labels")
    for field in ("max_trial_count", "parallel_trial_count"):
        if getattr(job, field) < 1:
            yield Violation(field, "The count must be positive.")
    if job.max_failed_trial_count < 0:
        yield Violation("max_failed_trial_count", "The count must not be negative.")


def _study(study: Generated) -> Iterator[Violation]:
    if not study.metrics:
        yield Violation(f"{_SPEC}.metrics", "At least one metric is required.")
    for metric in study.metrics:
        if not _NAME.fullmatch(metric.metric_id):
            yield Violation(f"{_SPEC}.metrics", f"`{metric.metric_id}` is no id of a metric.")
    if not study.parameters:
        yield Violation(f"{_SPEC}.parameters", "At least one parameter is required.")
    seen: set[str] = set()
    for number, parameter in enumerate(study.parameters):
        yield from _parameter(parameter, f"{_SPEC}.parameters[{number}]", study.algorithm)
        if parameter.parameter_id in seen:
            yield Violation(f"{_SPEC}.parameters", f"The parameter `{parameter.parameter_id}` is given twice.")
        seen.add(parameter.parameter_id)


def _parameter(parameter: Generated, where: str, algorithm: int) -> Iterator[Violation]:
    kind = parameter.WhichOneof("parameter_value_spec")
    if not _NAME.fullmatch(parameter.parameter_id):
        yield Violation(where, f"`{parameter.parameter_id}` is no id of a parameter.")
    if kind is None:
        yield Violation(where, "A value spec is required.")
        return
    spec = getattr(parameter, kind)
    if kind in {"double_value_spec", "integer_value_spec"}:
        if spec.min_value > spec.max_value:
            yield Violation(f"{where}.{kind}", "The minimum must not be above the maximum.")
        if parameter.scale_type in LOG_SCALES and spec.min_value <= 0:
            yield Violation(f"{where}.scale_type", "A logarithmic scale needs values above 0.")
    else:
        values = list(spec.values)
        if not values:
            yield Violation(f"{where}.{kind}", "At least one value is required.")
        if kind == "discrete_value_spec" and (values != sorted(set(values)) or len(values) > _MAX_DISCRETE):
            yield Violation(f"{where}.{kind}", f"The values must rise, and be at most {_MAX_DISCRETE}.")
    if kind == "double_value_spec" and algorithm == GRID_SEARCH:
        yield Violation(where, "Grid search takes no parameters of type double.")
    for child in parameter.conditional_parameter_specs:
        yield from _parameter(child.parameter_spec, f"{where}.conditional_parameter_specs", algorithm)
