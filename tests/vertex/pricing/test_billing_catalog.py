"""Prices out of the Cloud Billing catalog's answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from prefect_vertex_training.vertex.pricing.billing_catalog import catalog_prices, parse_skus
from prefect_vertex_training.vertex.pricing.price_list import PartKey

IOWA = ["us-central1"]


def sku(
    description: str, usd: float, *, usage: str = "OnDemand", unit: str = "h", regions: Any = None
) -> dict[str, Any]:
    """A SKU as the catalog describes it."""
    units, nanos = int(usd), round(usd % 1 * 1e9)
    tiers = [{"startUsageAmount": 0, "unitPrice": {"currencyCode": "USD", "units": str(units), "nanos": nanos}}]
    return {
        "description": description,
        "category": {"resourceFamily": "Compute", "usageType": usage},
        "serviceRegions": IOWA if regions is None else regions,
        "pricingInfo": [{"pricingExpression": {"usageUnit": unit, "tieredRates": tiers}}],
    }


@pytest.mark.parametrize(
    ("found", "key", "usd"),
    [
        (sku("N1 Predefined Instance Core running in Americas", 0.031611), ("core", "N1", "list"), 0.031611),
        (sku("E2 Instance Ram running in Americas", 0.003, unit="GiBy.h"), ("ram", "E2", "list"), 0.003),
        (
            sku("Spot Preemptible N1 Predefined Instance Core running in Americas", 0.0063, usage="Preemptible"),
            ("core", "N1", "SPOT"),
            0.0063,
        ),
        (
            sku("Nvidia Tesla T4 GPU attached to Spot Preemptible VMs running in Americas", 0.14, usage="Preemptible"),
            ("accelerator", "NVIDIA_TESLA_T4", "SPOT"),
            0.14,
        ),
        (
            sku("Nvidia H100 80GB GPU running in Iowa", 9.79655057),
            ("accelerator", "NVIDIA_H100_80GB", "list"),
            9.79655057,
        ),
        (
            sku("Nvidia H100 80GB GPU attached to DWS Defined Duration VMs running in Americas", 4.2),
            ("accelerator", "NVIDIA_H100_80GB", "FLEX_START"),
            4.2,
        ),
        (sku("DWS Defined Duration A3 Core running in Americas", 0.0109), ("core", "A3", "FLEX_START"), 0.0109),
        (sku("SSD backed PD Capacity", 0.17, unit="GiBy.mo"), ("disk", "pd-ssd", "list"), 0.17 / 730),
    ],
)
def test_the_parts_that_training_uses(found: dict[str, Any], key: tuple[str, str, str], usd: float) -> None:
    """By the beginning of the description, whatever its case."""
    loud = {**found, "description": found["description"].upper()}
    part, name, basis = key

    assert dict(parse_skus([found])) == {PartKey(part, name, "us-central1", basis): pytest.approx(usd)}  # pyright: ignore[reportArgumentType]
    assert dict(parse_skus([loud])) == dict(parse_skus([found]))


@pytest.mark.parametrize(
    "other",
    [
        sku("Commitment v1: N1 Predefined Instance Core in Americas", 0.02, usage="Commit1Yr"),
        sku("N1 Predefined Instance Core running in Americas", 0.02, usage="Commit3Yr"),
        sku("N1 Predefined Instance Core running in Americas", 0),
        sku("E2 Custom Instance Core running in Americas", 0.02),
        sku("Regional SSD backed PD Capacity", 0.34, unit="GiBy.mo"),
        sku("N1 Predefined Instance Core running in Americas", 0.02, unit="mo"),
        {"description": "N1 Predefined Instance Core running in Americas", "category": {"usageType": "OnDemand"}},
        {},
    ],
)
def test_what_is_no_price_of_a_part_is_left_out(other: dict[str, Any]) -> None:
    """Commitments, custom shapes, regional disks, placeholders of 0, and SKUs that hold less than they should."""
    assert dict(parse_skus([other])) == {}


class Catalog:
    """Answers in two pages, and counts the requests."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, str]] = []

    def __call__(self, path: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        self.asked.append(query)
        assert path == "v1/services/6F81-5844-456A/skus"
        if query.get("pageToken") == "2":
            return {"skus": [sku("N1 Predefined Instance Ram running in Americas", 0.004, unit="GiBy.h")]}
        return {"skus": [sku("N1 Predefined Instance Core running in Americas", 0.03)], "nextPageToken": "2"}


def test_the_catalog_is_fetched_once_a_day(tmp_path: Path) -> None:
    """All pages, kept on disk with their date; fetched again after a day, or if what is kept is damaged."""
    catalog = Catalog()
    noon = 1796040000.0  # 2026-11-30

    first = catalog_prices(tmp_path, catalog, now=noon)
    again = catalog_prices(tmp_path, catalog, now=noon + 3600)

    assert first == again
    assert str(first) == "billing catalog of 2026-11-30"
    assert len(first.prices) == len(catalog.asked) == 2
    catalog_prices(tmp_path, catalog, now=noon + 25 * 3600)
    assert len(catalog.asked) == 4
    (tmp_path / "billing-catalog.json").write_text('{"fetched": 1e99, "prices": [[1]]}')
    assert catalog_prices(tmp_path, catalog, now=noon).prices == first.prices
