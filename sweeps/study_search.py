"""The search: proposes the next trial from those so far, and says which running one is not worth its machine.

Everything is done by Optuna, in memory: a sweep that goes on elsewhere builds the same study from its records.
"""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..core.errors import ProjectError
from ..project.settings.search_space import Parameter, Value, combinations
from ..project.settings.sweep_settings import SweepSettings
from .trial_records import TrialEnd

if TYPE_CHECKING:
    import optuna

_TRIES = 30
"""Proposals of the sampler after which values are drawn at random, if all of them have been tried."""

_RANDOM_TRIES = 200
"""Random draws after which a space counts as exhausted, if all of them have been tried."""

_STARTUP = 5
"""Completed trials before the median prunes."""


class Search:
    """The search of one sweep. Threads may share it.

    Args:
        settings: The sweep's settings.
        defaults: The values of the script itself, as far as they are known; trial 0 has them.

    Raises:
        ProjectError: Optuna is not installed.
    """

    def __init__(self, settings: SweepSettings, defaults: Mapping[str, Value]) -> None:
        self._settings = settings
        self._optuna = import_optuna()
        self._lock = threading.Lock()
        self._study = self._new_study()
        self._trials: dict[int, optuna.trial.Trial] = {}
        self._tried: set[tuple[tuple[str, Value], ...]] = set()
        self._grid: Iterator[dict[str, Value]] = iter(combinations(settings.space))
        self._defaults = _whole(settings.space, defaults)

    def restore(self, number: int, values: Mapping[str, Value], end: TrialEnd | None) -> None:
        """Takes a trial that was proposed before; `end` is None for one that still runs."""
        with self._lock:
            known = self._defaults if number == 0 else values
            if known is None:
                return
            self._note(known)
            self._trials[number] = self._fixed(known)
        if end is not None:
            for step, value in end.points:
                self.report(number, step, value)
            self.tell(end)

    def propose(self, number: int) -> dict[str, Value] | None:
        """The parameters of a new trial; None when every combination has been tried.

        Trial 0 has none: it runs with the script's own values.
        """
        with self._lock:
            if number == 0:
                if self._defaults is not None:
                    self._note(self._defaults)
                    self._trials[0] = self._fixed(self._defaults)
                return {}
            if self._settings.algorithm == "grid":
                return self._next_of_grid(number)
            return self._new_values(number, _TRIES) or self._new_values(number, _RANDOM_TRIES, at_random=True)

    def report(self, number: int, step: float, value: float) -> bool:
        """Takes a value from a running trial; returns whether the trial should end now."""
        with self._lock:
            trial = self._trials.get(number)
            if trial is None or not math.isfinite(value):
                return False
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                trial.report(value, int(step))
                return number != 0 and self._settings.prune != "off" and trial.should_prune()

    def tell(self, end: TrialEnd) -> None:
        """Takes the end of a trial."""
        states = self._optuna.trial.TrialState
        with self._lock:
            trial = self._trials.pop(end.number, None)
            if trial is None:
                return
            if end.state == "completed" and end.value is not None:
                self._study.tell(trial, end.value)
            elif end.state == "pruned" and end.points:
                self._study.tell(trial, state=states.PRUNED)
            else:
                self._study.tell(trial, state=states.FAIL)

    def _new_study(self) -> optuna.Study:
        settings, samplers, pruners = self._settings, self._optuna.samplers, self._optuna.pruners
        startup = max(4, min(10, settings.trials // 4))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about options that Optuna calls experimental
            sampler: Any = (
                samplers.TPESampler(
                    seed=settings.seed, n_startup_trials=startup, multivariate=True, group=True, constant_liar=True
                )
                if settings.algorithm == "tpe"
                else samplers.RandomSampler(seed=settings.seed)
            )
            pruner: Any = (
                pruners.HyperbandPruner(min_resource=max(1, settings.prune_after))
                if settings.prune == "hyperband"
                else pruners.MedianPruner(n_startup_trials=_STARTUP, n_warmup_steps=settings.prune_after)
            )
        direction = "maximize" if settings.goal == "max" else "minimize"
        return self._optuna.create_study(direction=direction, sampler=sampler, pruner=pruner)

    def _new_values(self, number: int, tries: int, *, at_random: bool = False) -> dict[str, Value] | None:
        """Values that no trial has had. TPE stays near the best ones, and may have tried all that are there."""
        own = self._study.sampler
        if at_random:
            self._study.sampler = self._optuna.samplers.RandomSampler(seed=number)
        try:
            for _ in range(tries):
                trial = self._study.ask()
                values = self._suggested(trial)
                if self._key(values) not in self._tried:
                    self._note(values)
                    self._trials[number] = trial
                    return values
                self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        finally:
            self._study.sampler = own
        return None

    def _next_of_grid(self, number: int) -> dict[str, Value] | None:
        for values in self._grid:
            if self._key(values) not in self._tried:
                self._note(values)
                self._trials[number] = self._fixed(values)
                return values
        return None

    def _fixed(self, values: Mapping[str, Value]) -> optuna.trial.Trial:
        """A trial of the study with these values."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._study.enqueue_trial(dict(values))
            trial = self._study.ask()
            self._suggested(trial)
        return trial

    def _suggested(self, trial: optuna.trial.Trial) -> dict[str, Value]:
        chosen: dict[str, Value] = {}
        for each in self._settings.space:
            if each.is_used(chosen):
                chosen[each.name] = each.rounded(_suggest(trial, each))
        return chosen

    def _key(self, values: Mapping[str, Value]) -> tuple[tuple[str, Value], ...]:
        return tuple(sorted(values.items()))

    def _note(self, values: Mapping[str, Value]) -> None:
        self._tried.add(self._key(values))


def import_optuna() -> Any:  # noqa: ANN401 - the module
    """Optuna, which takes a second to import, and which only sweeps need.

    Raises:
        ProjectError: It is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise ProjectError(
            "sweeps need Optuna, which is not installed", next_step="pip install 'prefect-vertex-training[sweep]'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _suggest(trial: optuna.trial.Trial, each: Parameter) -> Value:
    if each.kind == "choice":
        return trial.suggest_categorical(each.name, list(each.choices))
    if each.kind == "int":
        step = int(each.step) or 1
        return trial.suggest_int(each.name, int(each.low), int(each.high), step=step, log=each.log)
    return trial.suggest_float(each.name, each.low, each.high, step=each.step or None, log=each.kind == "log")


def _whole(space: tuple[Parameter, ...], defaults: Mapping[str, Value]) -> dict[str, Value] | None:
    """The defaults of the used parameters; None where one is unknown, or lies outside of the space."""
    chosen: dict[str, Value] = {}
    for each in space:
        if each.is_used(chosen):
            value = defaults.get(each.name)
            if value is None or not each.holds(value):
                return None
            chosen[each.name] = float(value) if each.kind in {"float", "log"} else value
    return chosen
