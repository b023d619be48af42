"""Estimates and caps."""

from __future__ import annotations

import pytest
from fixtures.hypothesis_profile import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect_vertex_training.vertex.pricing.estimate import CostEstimate, capped_time_limit
from prefect_vertex_training.vertex.pricing.hourly_rate import HourlyRate

RATE = HourlyRate(4.2, (), "built-in table of 2026-11-29")
UNKNOWN = HourlyRate(None, ("NVIDIA_B200 (accelerator) in us-east1",), "")


@pytest.mark.parametrize(
    ("estimate", "said"),
    [
        (CostEstimate(RATE, 86400), "at most 100.80 USD for 24 h"),
        (CostEstimate(RATE, 86400, 3), "at most 302.40 USD for 24 h x 3 starts"),
        (
            CostEstimate(RATE, 86400, 1, last_seconds=1629),
            "about 1.90 USD as last time (27 min); at most 100.80 USD for 24 h",
        ),
        (CostEstimate(RATE, 60), "at most 0.07 USD for 60 s"),
        (CostEstimate(UNKNOWN, 60, 1, 5), "unknown: no price of NVIDIA_B200 (accelerator) in us-east1"),
    ],
)
def test_how_an_estimate_reads(estimate: CostEstimate, said: str) -> None:
    """The last time, the worst case and its reason; an unknown price is never shown as 0."""
    assert str(estimate) == said


@settings(max_examples=examples(100))
@given(
    usd=st.floats(0.01, 200),
    limit=st.floats(1, 7 * 86400),
    cap=st.floats(0, 1000),
    spent=st.floats(0, 1000),
    starts=st.integers(1, 7),
)
def test_a_job_that_nobody_watches_stays_below_its_cap(
    usd: float, limit: float, cap: float, spent: float, starts: int
) -> None:
    """Whatever Vertex AI starts again by itself: all starts to the limit cost no more than what is left."""
    seconds = capped_time_limit(HourlyRate(usd, (), ""), limit, cap=cap, spent=spent, starts=starts)

    assert 0 <= seconds <= limit
    assert spent + usd * seconds / 3600 * starts <= max(cap, spent) * (1 + 1e-9) + 1e-9


def test_no_cap_without_a_price() -> None:
    """The caller has to stop before anything is built."""
    with pytest.raises(ValueError, match="no price of NVIDIA_B200"):
        capped_time_limit(UNKNOWN, 60, cap=1, spent=0, starts=1)
