"""Prices from the Cloud Billing catalog, kept on disk for a day.

https://cloud.google.com/billing/docs/reference/rest/v1/services.skus/list. Any account may read it where the
Cloud Billing API is enabled. Compute Engine's list has more than 10,000 SKUs and takes some ten seconds.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ...core.atomic_files import write_atomic
from ...core.security.parsed_text import parse_json
from .price_list import Basis, Part, PartKey, PriceList

COMPUTE_ENGINE = "services/6F81-5844-456A"
"""Compute Engine in the catalog."""

DAY = 24 * 3600.0
"""How long prices are kept, in seconds."""

Get = Callable[[str, Mapping[str, str]], Mapping[str, Any]]
"""Sends a GET request: path, query -> the answer's JSON. Raises what it likes when there is none."""

_HOURS_A_MONTH = 730


def _prefixes() -> Iterator[tuple[str, Part, str, Basis]]:
    """How the description of each part begins.

    Descriptions are compared from their beginning: that of a list price is contained in that of a spot price.
    """
    lines = Path(__file__).with_name("catalog_names.csv").read_text(encoding="utf-8").splitlines()
    for row in csv.DictReader(line for line in lines if not line.startswith("#")):
        kind, name, words = row["part"], row["name"], row["words"]
        if kind == "series":
            yield from _series_prefixes(name, words)
        elif kind == "accelerator":
            yield f"{words} running in ", "accelerator", name, "list"
            yield f"{words} attached to Spot Preemptible VMs running in ", "accelerator", name, "SPOT"
            yield f"{words} attached to DWS Defined Duration VMs running in ", "accelerator", name, "FLEX_START"
        else:
            yield words, "disk", name, "list"


def _series_prefixes(series: str, words: str) -> Iterator[tuple[str, Part, str, Basis]]:
    parts: tuple[tuple[Part, str], ...] = (("core", "Core running in "), ("ram", "Ram running in "))
    for part, text in parts:
        yield f"{words} {text}", part, series, "list"
        yield f"Spot Preemptible {words} {text}", part, series, "SPOT"
        yield f"DWS Defined Duration {words.removesuffix(' Instance')} {text}", part, series, "FLEX_START"


@cache
def _rules() -> tuple[tuple[str, Part, str, Basis], ...]:
    return tuple((text.lower(), part, name, basis) for text, part, name, basis in _prefixes())


def catalog_prices(folder: Path, get: Get, *, now: float) -> PriceList:
    """The catalog's prices: those on disk, if they are not older than a day, else fetched.

    Args:
        folder: Where they are kept.
        get: Reads the catalog.
        now: The time, in seconds since 1970.

    Raises:
        Exception: What `get` raises when the catalog can't be read.
    """
    kept = folder / "billing-catalog.json"
    if (found := _read(kept)) and 0 <= now - found[0] < DAY:
        return found[1]
    prices = dict(parse_skus(_pages(get)))
    rows = [[*key, price] for key, price in prices.items()]
    write_atomic(kept, json.dumps({"fetched": now, "prices": rows}).encode())
    return _list(now, prices)


def _list(fetched: float, prices: Mapping[PartKey, float]) -> PriceList:
    date = dt.datetime.fromtimestamp(fetched, dt.UTC).date().isoformat()
    return PriceList(prices, "billing catalog", date)


def _read(kept: Path) -> tuple[float, PriceList] | None:
    """What is on disk, with the time at which it was fetched; None for nothing that can be used."""
    try:
        held = parse_json(kept.read_bytes())
        fetched = float(held["fetched"])
        prices = {PartKey(*key): float(price) for *key, price in held["prices"]}
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return fetched, _list(fetched, prices)


def _pages(get: Get) -> Iterator[Mapping[str, Any]]:
    token = ""
    while True:
        query = {"pageSize": "5000", "currencyCode": "USD"} | ({"pageToken": token} if token else {})
        answer = get(f"v1/{COMPUTE_ENGINE}/skus", query)
        yield from answer.get("skus", ())
        token = str(answer.get("nextPageToken") or "")
        if not token:
            return


def parse_skus(skus: Iterable[Mapping[str, Any]]) -> Iterator[tuple[PartKey, float]]:
    """The prices of the parts that training uses, by region."""
    for sku in skus:
        description = str(sku.get("description", "")).lower()
        match = next((rule for rule in _rules() if description.startswith(rule[0])), None)
        price = _hourly_usd(sku) if match and _is_for_sale(sku, match[3]) else None
        if match and price is not None:
            _, part, name, basis = match
            for region in sku.get("serviceRegions", ()):
                yield PartKey(part, name, str(region), basis), price


def _is_for_sale(sku: Mapping[str, Any], basis: Basis) -> bool:
    """Whether this is the price of the moment: commitments have descriptions of their own, and another usage type."""
    usage = str(sku.get("category", {}).get("usageType", ""))
    return usage in {"OnDemand", "Preemptible"} if basis != "list" else usage == "OnDemand"


def _hourly_usd(sku: Mapping[str, Any]) -> float | None:
    """The price at the first unit, an hour; None if it is in another unit, or free, which is a placeholder."""
    try:
        expression = sku["pricingInfo"][-1]["pricingExpression"]
        prices = [tier["unitPrice"] for tier in expression["tieredRates"]]
        usd = max(float(price.get("units") or 0) + float(price.get("nanos") or 0) / 1e9 for price in prices)
        unit = str(expression["usageUnit"])
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    hours = {"h": 1, "GiBy.h": 1, "GiBy.mo": _HOURS_A_MONTH}.get(unit)
    return usd / hours if hours and usd > 0 else None
