"""Small projects that show what real ones met, each with its expected outcome; README.md describes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpus.case import Case, cases, not_yet
from corpus.outcome import OutcomeDiffers, check_plan, check_training
from corpus.prepare import prepare
from prefect_vertex_training.core.home import Home

_CASES = cases()
_NOT_YET = not_yet()


def _parameters(chosen: list[Case]) -> list[object]:
    """One parameter a project; one that is listed in not_yet.toml has to fail."""
    return [
        pytest.param(
            case,
            id=case.name,
            marks=[pytest.mark.xfail(strict=True, raises=OutcomeDiffers, reason=_NOT_YET[case.name])]
            if case.name in _NOT_YET
            else [],
        )
        for case in chosen
    ]


@pytest.mark.parametrize("case", _parameters(_CASES))
def test_verify_freeze_and_plan(case: Case, tmp_path: Path, shared_home: Home) -> None:
    """Each project reaches the expected outcome through verify, freeze and image plan."""
    check_plan(case, prepare(case, tmp_path), shared_home)


@pytest.mark.prefect
@pytest.mark.parametrize("case", _parameters([case for case in _CASES if case.end_to_end]))
@pytest.mark.usefixtures("training_home")
def test_training(case: Case, tmp_path: Path) -> None:
    """Some of them reach their model, by a real job in local_vertex."""
    check_training(case, prepare(case, tmp_path / "case"))


def test_the_list_names_projects_of_the_corpus() -> None:
    """A name in not_yet.toml that no project has would hide nothing, and stay forever."""
    assert set(_NOT_YET) <= {case.name for case in _CASES}


def test_there_are_enough() -> None:
    """At least sixty projects, twelve of them trained, and each with a sentence that says what it proves."""
    assert len(_CASES) >= 60
    assert sum(case.end_to_end for case in _CASES) >= 12
    assert all(case.expected["description"].endswith(".") for case in _CASES)
