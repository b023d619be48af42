"""How far a training is, by what it prints."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.tasks.reporting.progress import SHARES, Progress, part_done


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("epoch 3/20: loss 0.3", ("epoch", 0.15)),
        ("Epoch: 3 of 20", ("epoch", 0.15)),
        ("Epoch [5/10] done", ("epoch", 0.5)),
        ("step 100/400", ("step", 0.25)),
        ("iter 1/4", ("iteration", 0.25)),
        ('{"epoch": 3, "epochs": 20}', ("epoch", 0.15)),
        ('{"step": 1, "max_steps": 4}', ("step", 0.25)),
        ("read 3/4 of the files", None),
        ("epoch 7/3", None),
        ("epoch 3/0", None),
        ('{"epoch": true, "epochs": 2}', None),
        ('{"epoch": "3", "epochs": 20}', None),
    ],
)
def test_a_line_says_how_far_the_training_is(text: str, expected: object) -> None:
    """As frameworks write it, in words or in JSON."""
    fields = json.loads(text) if text.startswith("{") else {}

    assert part_done(text, fields) == expected


@given(st.text(), st.dictionaries(st.sampled_from(["epoch", "epochs", "step", "total_steps", "loss"]), st.floats()))
def test_no_line_breaks_it(text: str, fields: dict[str, float]) -> None:
    """Whatever a training prints, the answer is a part of the whole or nothing."""
    found = part_done(text, fields)

    assert found is None or 0 <= found[1] <= 1


@given(st.lists(st.one_of(st.sampled_from([*SHARES, "other"]), st.floats(-1, 2))))
def test_the_bar_never_goes_back(moves: list[str | float]) -> None:
    """Steps in any order, a training that starts its count again: the bar stays or grows, up to 100."""
    progress = Progress(clock=lambda: 0.0)  # no time passes: nothing is written
    seen = [progress.percent]
    for move in moves:
        if isinstance(move, str):
            progress.finish()
            progress.begin(move)
        else:
            progress.inside(move, "training")
        seen.append(progress.percent)

    assert seen == sorted(seen)
    assert 0 <= seen[-1] <= 100


def test_the_steps_fill_the_bar() -> None:
    """The shares of all steps add up to 100 percent."""
    assert sum(SHARES.values()) == 100
