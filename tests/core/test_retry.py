"""Back-off: grows, stays below its limit, stops at once on a definite error."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.core.errors import RegistryDenied, RegistryUnavailable
from prefect_vertex_training.core.retry import backoff, retry


@given(st.floats(0.01, 5), st.floats(1.1, 4), st.floats(5, 60))
def test_each_wait_lies_in_the_upper_half_below_its_ceiling(base: float, factor: float, limit: float) -> None:
    """The ceiling grows by the factor until the limit."""
    ceiling = base
    for wait in islice(backoff(base, factor, limit), 12):
        assert ceiling / 2 <= wait <= ceiling
        ceiling = min(ceiling * factor, limit)


def test_a_transient_error_is_tried_again_and_a_definite_one_is_not() -> None:
    """The error itself says which it is."""
    outcomes = [RegistryUnavailable("cut"), RegistryUnavailable("cut"), None]
    waits: list[float] = []

    def action() -> str:
        if error := outcomes.pop(0):
            raise error
        return "done"

    assert retry(action, sleep=waits.append) == "done"
    assert len(waits) == 2
    with pytest.raises(RegistryDenied):
        retry(lambda: (_ for _ in ()).throw(RegistryDenied("no")), sleep=waits.append)
    assert len(waits) == 2


def test_the_last_error_is_raised_when_the_attempts_are_used_up() -> None:
    """Attempts are counted, waits come between them."""
    waits: list[float] = []

    def action() -> None:
        raise RegistryUnavailable("still")

    with pytest.raises(RegistryUnavailable):
        retry(action, attempts=4, sleep=waits.append)
    assert len(waits) == 3
