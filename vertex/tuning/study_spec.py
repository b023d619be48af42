"""A sweep's search as Google's messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...core.errors import ProjectError
from ...project.settings.search_space import Parameter, Value
from ...project.settings.sweep_settings import ARGUMENT, SweepSettings

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import HyperparameterTuningJob

_GRID, _RANDOM = 2, 3
_MAXIMIZE, _MINIMIZE = 1, 2
_LINEAR, _LOG = 1, 2
_LAST, _BEST = 1, 2


def to_tuning_job(settings: SweepSettings) -> HyperparameterTuningJob:
    """The tuning job of a sweep, without its trials' custom job.

    Raises:
        ProjectError: The service can't search so.
    """
    _refuse_templates(settings)
    from google.cloud.aiplatform_v1.types import HyperparameterTuningJob

    study: dict[str, Any] = {
        "metrics": [{"metric_id": settings.metric, "goal": _MAXIMIZE if settings.goal == "max" else _MINIMIZE}],
        "parameters": _tree(settings.space, grid=settings.algorithm == "grid"),
        "measurement_selection_type": _BEST if settings.measurement == "best" else _LAST,
    }
    if algorithm := {"grid": _GRID, "random": _RANDOM}.get(settings.algorithm):
        study["algorithm"] = algorithm
    if settings.prune != "off":
        study["median_automated_stopping_spec"] = {"use_elapsed_duration": False}
    if settings.stop_after:
        study["study_stopping_config"] = {"max_num_trials_no_progress": settings.stop_after}
    return HyperparameterTuningJob(
        study_spec=study,
        max_trial_count=settings.trials,
        parallel_trial_count=settings.parallel,
        max_failed_trial_count=settings.max_failures,
    )


def _refuse_templates(settings: SweepSettings) -> None:
    own = [each.name for each in settings.space if each.argument]
    if settings.template or settings.argument != ARGUMENT or own:
        raise ProjectError(
            'engine = "vertex" passes each parameter as --NAME=VALUE, and the sweep has templates of its own',
            where="template" if settings.template else "argument",
            next_step='Remove them, or set engine = "own"',
        )


def _tree(space: Sequence[Parameter], *, grid: bool) -> list[dict[str, Any]]:
    """The parameters, those with a condition inside of the one that they depend on."""
    specs = {each.name: _spec(each, grid=grid) for each in space}
    top = []
    for each in space:
        if not each.when:
            top.append(specs[each.name])
            continue
        if len(each.when) > 1:
            raise ProjectError(
                f"{each.name} depends on several parameters, which Vertex AI's tuning doesn't know",
                where="when",
                next_step='Leave one of them in its when, or set engine = "own"',
            )
        (parent, values), *_ = each.when.items()
        condition = {"parameter_spec": specs[each.name], **_condition(specs[parent], values)}
        specs[parent].setdefault("conditional_parameter_specs", []).append(condition)
    return top


def _spec(each: Parameter, *, grid: bool) -> dict[str, Any]:
    spec: dict[str, Any] = {"parameter_id": each.name}
    numbers = [value for value in each.choices if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if each.kind == "choice" and len(numbers) < len(each.choices):
        return spec | {"categorical_value_spec": {"values": [_text(value) for value in each.choices]}}
    if each.kind == "choice":
        return spec | {"discrete_value_spec": {"values": sorted(map(float, numbers))}, "scale_type": _LINEAR}
    if each.step or (grid and each.kind != "int"):  # the service knows no steps, and no grid of doubles
        return spec | {
            "discrete_value_spec": {"values": [float(value) for value in each.grid()]},
            "scale_type": _LINEAR,
        }
    scale = {"scale_type": _LOG if each.kind == "log" or each.log else _LINEAR}
    kind, number = ("integer_value_spec", int) if each.kind == "int" else ("double_value_spec", float)
    return spec | {kind: {"min_value": number(each.low), "max_value": number(each.high)}} | scale


def _condition(parent: Mapping[str, Any], values: Sequence[Value]) -> dict[str, Any]:
    if "categorical_value_spec" in parent:
        return {"parent_categorical_values": {"values": [_text(value) for value in values]}}
    numbers = [float(value) for value in values]
    if "integer_value_spec" in parent:
        return {"parent_int_values": {"values": [int(value) for value in numbers]}}
    return {"parent_discrete_values": {"values": numbers}}


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
