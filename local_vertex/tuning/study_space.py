"""A StudySpec as the search understands it, and parameters of trials as the API has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...project.settings.search_space import Parameter, Value
from ...project.settings.sweep_settings import SweepSettings

_GRID, _RANDOM = 2, 3
_LOG, _REVERSE_LOG = 2, 3
_MINIMIZE = 2
BEST_MEASUREMENT = 2


def search_of(job: Any) -> SweepSettings:  # noqa: ANN401 - a generated message
    """The search that a HyperparameterTuningJob describes. A reverse logarithmic scale is searched as a linear one."""
    study = job.study_spec
    metric = study.metrics[0]
    names = dict[str, Parameter]()
    for each in study.parameters:
        names |= {found.name: found for found in _parameters(each, {})}
    algorithm = {_GRID: "grid", _RANDOM: "random"}.get(study.algorithm, "tpe")
    stopping = study.WhichOneof("automated_stopping_spec")
    return SweepSettings(
        metric=metric.metric_id,
        goal="min" if metric.goal == _MINIMIZE else "max",
        trials=job.max_trial_count,
        parallel=job.parallel_trial_count,
        algorithm=algorithm,  # pyright: ignore[reportArgumentType]
        prune="median" if stopping else "off",
        prune_after=0,
        measurement="best" if study.measurement_selection_type == BEST_MEASUREMENT else "last",
        space=tuple(names.values()),
    )


def _parameters(spec: Any, when: Mapping[str, tuple[Value, ...]]) -> Iterator[Parameter]:  # noqa: ANN401
    kind = spec.WhichOneof("parameter_value_spec")
    values = getattr(spec, kind)
    name = spec.parameter_id
    if kind in {"double_value_spec", "integer_value_spec"}:
        whole = kind == "integer_value_spec"
        low, high = (values.min_value, values.max_value)
        logarithmic = spec.scale_type == _LOG
        if low == high:
            yield Parameter(name, "choice", choices=(low,), when=when)
        elif whole:
            yield Parameter(name, "int", low=low, high=high, log=logarithmic, when=when)
        else:
            yield Parameter(name, "log" if logarithmic else "float", low=low, high=high, when=when)
    else:
        yield Parameter(name, "choice", choices=tuple(values.values), when=when)
    for child in spec.conditional_parameter_specs:
        parent = child.WhichOneof("parent_value_condition")
        yield from _parameters(child.parameter_spec, {**when, name: tuple(getattr(child, parent).values)})


def as_argument(value: Value) -> str:
    """A value in the arguments of a trial: 16.0 of a list of numbers is 16."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else str(value)
