"""A small price list in the form of the Cloud Billing catalog, the same every day: tests can compute with it.

https://cloud.google.com/billing/docs/reference/rest/v1/services.skus/list. A vCPU costs 0.01 USD an hour, a GB of
memory 0.001, a T4 0.50, an L4 1.00, an A100 4.00, a GB of SSD 0.0001, in every region; spot machines cost half of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

COMPUTE_ENGINE = "6F81-5844-456A"
"""The one service whose prices are listed."""

_SERIES = ("N1 Predefined Instance", "E2 Instance", "N2 Instance", "G2 Instance", "A2 Instance")
_ACCELERATORS = {"Nvidia Tesla T4 GPU": 0.50, "Nvidia L4 GPU": 1.00, "Nvidia Tesla A100 GPU": 4.00}
_CORE, _GB, _SSD = 0.01, 0.001, 0.0001
_HOURS_A_MONTH = 730


def skus(regions: Sequence[str]) -> list[dict[str, Any]]:
    """The SKUs, each for all regions."""
    return [
        {
            "name": f"services/{COMPUTE_ENGINE}/skus/LOCAL-{number:04}",
            "skuId": f"LOCAL-{number:04}",
            "description": f"{words} this machine",
            "category": {"serviceDisplayName": "Compute Engine", "resourceFamily": "Compute", "usageType": usage},
            "serviceRegions": list(regions),
            "pricingInfo": [_pricing(usd, unit)],
            "serviceProviderName": "Google",
        }
        for number, (words, usage, usd, unit) in enumerate(_prices(), start=1)
    ]


def _prices() -> Iterator[tuple[str, str, float, str]]:
    for series in _SERIES:
        for part, usd, unit in (("Core", _CORE, "h"), ("Ram", _GB, "GiBy.h")):
            yield f"{series} {part} running in", "OnDemand", usd, unit
            yield f"Spot Preemptible {series} {part} running in", "Preemptible", usd / 2, unit
    for words, usd in _ACCELERATORS.items():
        yield f"{words} running in", "OnDemand", usd, "h"
        yield f"{words} attached to Spot Preemptible VMs running in", "Preemptible", usd / 2, "h"
    yield "SSD backed PD Capacity in", "OnDemand", _SSD * _HOURS_A_MONTH, "GiBy.mo"


def _pricing(usd: float, unit: str) -> dict[str, Any]:
    nanos = round(usd * 1e9)
    price = {"currencyCode": "USD", "units": str(nanos // 10**9), "nanos": nanos % 10**9}
    expression = {"usageUnit": unit, "displayQuantity": 1, "tieredRates": [{"startUsageAmount": 0, "unitPrice": price}]}
    return {"effectiveTime": "2026-01-01T00:00:00Z", "pricingExpression": expression, "currencyConversionRate": 1}
