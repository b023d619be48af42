"""The search of trials: it improves, repeats none, is rebuilt from records, and ends bad trials."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prefect_vertex_training.core.errors import VertexError
from prefect_vertex_training.project.settings.search_space import read_space
from prefect_vertex_training.project.settings.sweep_settings import SweepSettings
from prefect_vertex_training.sweeps.stop_rules import refuse_failures, without_progress
from prefect_vertex_training.sweeps.study_search import Search
from prefect_vertex_training.sweeps.trial_arguments import trial_arguments
from prefect_vertex_training.sweeps.trial_records import TrialEnd, TrialPlan, TrialRecord, best_of
from prefect_vertex_training.vertex.job_types import JobRequest

SPACE = read_space(
    {
        "lr": {"log": [1e-5, 1.0]},
        "kind": ["sgd", "adam"],
        "momentum": {"float": [0.0, 0.99], "when": {"kind": "sgd"}},
    }
)
SETTINGS = SweepSettings("score", "max", space=SPACE, prune_after=1)


def record(number: int, state: str = "completed", value: float | None = None) -> TrialRecord:
    """A trial that has ended."""
    request = JobRequest(display_name="t", output="gs://b/o", image="i")
    end = TrialEnd(number, state, value=value, reason="why")  # pyright: ignore[reportArgumentType]
    return TrialRecord(TrialPlan(number, {}, (), "key", request), end)


def test_conditions_hold_and_the_first_trial_is_the_scripts_own() -> None:
    """Trial 0 has no parameters; the momentum is there for sgd alone."""
    search = Search(SETTINGS, {})
    found = [search.propose(number) for number in range(20)]

    assert found[0] == {}
    for values in found[1:]:
        assert values is not None
        assert ("momentum" in values) == (values["kind"] == "sgd")


def test_it_finds_better_ones_and_goes_on_from_records() -> None:
    """A search that was rebuilt from the records of another knows what that one knew."""

    def score(values: dict[str, object]) -> float:
        return -abs(float(str(values.get("lr", 1.0))) - 0.01)

    first, records = Search(SETTINGS, {}), []
    for number in range(30):
        values = first.propose(number) or {}
        end = TrialEnd(number, "completed", value=score(values))
        first.tell(end)
        records.append((number, values, end))
    second = Search(SETTINGS, {})
    for number, values, end in records:
        second.restore(number, values, end)
    later = [second.propose(number) or {} for number in range(30, 35)]

    assert max(score(values) for _, values, _ in records[15:]) > max(score(values) for _, values, _ in records[:5])
    tried = [sorted(values.items()) for _, values, _ in records]
    assert not any(sorted(values.items()) in tried for values in later)


def test_an_exhausted_space_ends_the_search() -> None:
    """Each combination is proposed once, the script's own values among them where they are known."""
    settings = replace(SETTINGS, space=read_space({"a": [1, 2, 3]}))

    for algorithm in ("tpe", "random", "grid"):
        search = Search(replace(settings, algorithm=algorithm), {"a": 2})
        found = [search.propose(number) for number in range(5)]
        assert found[0] == {}
        assert sorted(values["a"] for values in found[1:] if values) == [1, 3]
        assert found[3] is None


def test_a_crowd_of_tried_values_around_the_best_is_no_exhausted_space() -> None:
    """TPE proposes the best branch again and again, whose few values have all been tried; the other one has more."""
    space = read_space(
        {
            "kind": ["few", "many"],
            "depth": {"int": [1, 3], "when": {"kind": "few"}},
            "lr": {"log": [1e-4, 0.1], "when": {"kind": "many"}},
        }
    )
    search = Search(replace(SETTINGS, space=space, trials=14), {})
    for number in range(14):  # without random draws it ends after five
        values = search.propose(number)
        assert values is not None, number
        search.tell(TrialEnd(number, "completed", value=1.0 if values.get("kind") == "few" else 0.0))


def test_a_trial_below_the_median_is_to_end_but_never_the_first() -> None:
    """After five completed trials; one that is better goes on."""
    search = Search(SETTINGS, {})
    for number in range(1, 7):
        search.propose(number)
        search.report(number, 2, number / 10)
        search.tell(TrialEnd(number, "completed", value=number / 10))
    search.propose(7)
    search.propose(8)
    search.propose(0)

    assert search.report(7, 2, 0.1)
    assert not search.report(8, 2, 0.9)
    assert not search.report(0, 2, -1.0)


def test_arguments_by_template() -> None:
    """Options, Hydra's keys, two words, positions; words without a value are left out, and blanks stay inside."""
    values = {"lr": 0.1, "kind": "a b"}

    assert trial_arguments(SETTINGS, values) == ["--lr=0.1", "--kind=a b"]
    assert trial_arguments(replace(SETTINGS, argument="{name}={value}"), values) == ["lr=0.1", "kind=a b"]
    assert trial_arguments(replace(SETTINGS, argument="--{name} {value}"), values)[2:] == ["--kind", "a b"]
    template = replace(SETTINGS, template=("{lr}", "{momentum}", "x-{kind}"))
    assert trial_arguments(template, values) == ["0.1", "x-a b"]
    assert trial_arguments(template, {}) == []


def test_when_there_are_enough() -> None:
    """Without progress, or with too many failures; the earliest of equal trials is the best."""
    records = [
        record(0, value=1.0),
        record(1, value=2.0),
        record(2, value=2.0),
        record(3, "failed"),
        record(4, "pruned"),
    ]

    best = best_of(records, "max")
    assert best is records[1]
    assert without_progress(records, replace(SETTINGS, stop_after=2)) == "no progress in 2 trials since trial 1"
    assert without_progress(records, replace(SETTINGS, stop_after=3)) == ""
    refuse_failures(records, replace(SETTINGS, max_failures=2))
    with pytest.raises(VertexError, match="1 of 5 trials failed, as many as max-failures allows; trial 3: why"):
        refuse_failures(records, replace(SETTINGS, max_failures=1))
