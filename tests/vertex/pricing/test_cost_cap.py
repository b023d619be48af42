"""The arithmetic of a cap on what jobs may cost."""

from __future__ import annotations

import pytest
from fixtures.suite.hypothesis_profile import examples
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from prefect_vertex_training.core.errors import VertexError
from prefect_vertex_training.vertex.pricing.cost_cap import BilledJob, capped_time_limit, reserved, spent
from prefect_vertex_training.vertex.pricing.cost_labels import cost_labels, max_cost_of, prices_of, rate_of
from prefect_vertex_training.vertex.pricing.hourly_rate import HourlyRate


@settings(max_examples=examples(100))
@given(
    usd=st.floats(0.01, 200),
    limit=st.floats(1, 7 * 86400),
    cap=st.floats(0.01, 1000),
    used=st.floats(0, 1000),
    starts=st.integers(1, 15),
)
def test_a_job_that_nobody_watches_stays_below_its_cap(
    usd: float, limit: float, cap: float, used: float, starts: int
) -> None:
    """All starts to the time limit cost no more than what is left; a job for which nothing is left is refused."""
    if (cap - used) / usd * 3600 / starts < 1:
        with pytest.raises(VertexError, match="max-cost is used up"):
            capped_time_limit(usd, limit + 1, cap=cap, used=used, starts=starts)
        return

    seconds = capped_time_limit(usd, limit, cap=cap, used=used, starts=starts)

    assert 1 <= seconds <= limit
    if seconds < limit:
        assert used + usd * seconds / 3600 * starts <= cap * (1 + 1e-9)


@settings(max_examples=examples(50))
@given(cap=st.floats(1, 100), rates=st.lists(st.floats(0.1, 50), min_size=1, max_size=8), until=st.floats(0, 2))
def test_several_jobs_at_a_time_stay_below_one_cap(cap: float, rates: list[float], until: float) -> None:
    """Each new job gets what those before it can't use, however long each of them then runs."""
    jobs: list[BilledJob] = []
    for rate in rates:
        try:
            limit = capped_time_limit(rate, 86400, cap=cap, used=reserved(jobs, 50, assumed_rate=1), starts=1)
        except VertexError:
            continue
        jobs.append(BilledJob(rate, 0.0 if rate > 25 else 40.0, 0.0, min(limit, 600.0)))

    assume(jobs)
    ended = [BilledJob(job.rate, 100, 100 + job.time_limit * min(until, 1.0), job.time_limit) for job in jobs]
    assert spent(ended, 1e9, assumed_rate=1) <= cap * (1 + 1e-9)


def test_what_jobs_have_cost() -> None:
    """Waiting is free; running counts until now; a job without a price counts with that of the next one."""
    jobs = [BilledJob(3600, 100, 110), BilledJob(3600, 0), BilledJob(3600, 195, 0, 60), BilledJob(None, 100, 102)]

    assert spent(jobs, 200, assumed_rate=1800) == pytest.approx(10 + 0 + 5 + 1)
    assert reserved(jobs[2:3], 200, assumed_rate=1) == pytest.approx(60)


def test_price_and_cap_travel_with_the_job() -> None:
    """As labels, which hold lowercase letters, digits, dashes and underscores alone."""
    labels = cost_labels(HourlyRate(0.436998, (), "built-in table of 2026-11-29, Mine (v2).csv of 2026-01-02"), 20.0)

    assert rate_of(labels) == pytest.approx(0.436998)
    assert max_cost_of(labels) == 20.0
    assert prices_of(labels) == "built-in table of 2026-11-29, mine -v2--csv of 2026-01-02"
    assert cost_labels(HourlyRate(None, ("x",), ""), 20.0) == {}
    assert (rate_of({}), max_cost_of({}), prices_of({})) == (None, None, "")
