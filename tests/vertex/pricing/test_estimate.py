"""Estimates and caps."""

from __future__ import annotations

import pytest
from prefect_vertex_training.core.errors import VertexError
from prefect_vertex_training.vertex.pricing.estimate import CostEstimate
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
        (CostEstimate(RATE, 86400, cap=20.0), "at most 20.00 USD by max-cost, which is reached after 4.76 h"),
        (CostEstimate(RATE, 3600, cap=20.0), "at most 4.20 USD for 60 min"),
        (CostEstimate(UNKNOWN, 60, 1, 5), "unknown: no price of NVIDIA_B200 (accelerator) in us-east1"),
    ],
)
def test_how_an_estimate_reads(estimate: CostEstimate, said: str) -> None:
    """The last time, the worst case and its reason; an unknown price is never shown as 0."""
    assert str(estimate) == said


def test_a_cap_without_a_price_is_refused() -> None:
    """One line with the part that has no price, and what to do."""
    with pytest.raises(VertexError) as refused:
        CostEstimate(UNKNOWN, 60, cap=20.0).require_price()

    assert str(refused.value) == (
        "max-cost is 20.00 USD, and the price of the job is unknown: no price of NVIDIA_B200 (accelerator) in us-east1"
        " (max-cost). Name a file that has the price (prices under [tool.vertex-training]), or remove max-cost"
    )
    CostEstimate(UNKNOWN, 60).require_price()
    CostEstimate(RATE, 60, cap=20.0).require_price()
