"""Token buckets, with a clock that the test controls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.local_vertex.api.quotas import Quotas
from prefect_vertex_training.local_vertex.api.status import ApiError, Code
from prefect_vertex_training.local_vertex.faults import Faults


class Clock:
    """A clock that stands still."""

    now = 0.0

    def __call__(self) -> float:
        """The current time."""
        return self.now


def spends(quotas: Quotas, quota: str) -> bool:
    """Whether a token was left."""
    try:
        quotas.spend(quota)
    except ApiError:
        return False
    return True


@given(
    rate=st.integers(1, 600),
    steps=st.lists(st.tuples(st.floats(0, 30), st.integers(0, 50)), max_size=20),
)
def test_no_more_than_the_rate(rate: int, steps: list[tuple[float, int]]) -> None:
    """At any time, at most a full bucket and the refill since the start were used."""
    clock = Clock()
    quotas = Quotas(Faults(quotas=True, submissions_per_minute=float(rate)), "1", clock)
    spent = 0
    for seconds, calls in steps:
        clock.now += seconds
        spent += sum(spends(quotas, "submissions") for _ in range(calls))
        assert spent <= rate + clock.now * rate / 60 + 1e-6


def test_an_empty_bucket_fills_again() -> None:
    """60 at once, then one each second; refused calls don't count."""
    clock = Clock()
    quotas = Quotas(Faults(quotas=True), "1", clock)
    assert sum(spends(quotas, "submissions") for _ in range(100)) == 60
    clock.now = 2.5

    assert sum(spends(quotas, "submissions") for _ in range(10)) == 2
    clock.now = 1000.0
    assert sum(spends(quotas, "submissions") for _ in range(100)) == 60


def test_each_quota_has_its_own_bucket() -> None:
    """The defaults are 600 reads, 60 submissions and 60 log reads a minute."""
    quotas = Quotas(Faults(quotas=True), "1", Clock())

    found = {quota: sum(spends(quotas, quota) for _ in range(700)) for quota in ("reads", "submissions", "log_reads")}
    assert found == {"reads": 600, "submissions": 60, "log_reads": 60}


def test_without_the_switch_nothing_is_counted() -> None:
    """By default quotas are not enforced."""
    quotas = Quotas(Faults(), "1", Clock())

    assert all(spends(quotas, "submissions") for _ in range(1000))


def test_the_text_names_metric_and_project() -> None:
    """The text is that of all Google APIs."""
    quotas = Quotas(Faults(quotas=True, log_reads_per_minute=0.0), "42", Clock())
    with pytest.raises(
        ApiError, match=r"Quota exceeded for quota metric 'Read requests' .*'project_number:42'"
    ) as failure:
        quotas.spend("log_reads")
    assert failure.value.code == Code.RESOURCE_EXHAUSTED
