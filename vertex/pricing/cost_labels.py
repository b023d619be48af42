"""A job's price and cap as labels of the job: whoever finds the job knows them, also when the run's process is gone."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..labels import LABEL_LIMIT, MAX_COST_LABEL, PRICES_LABEL, RATE_LABEL
from .hourly_rate import HourlyRate

_MILLIONTHS = 1_000_000


def cost_labels(rate: HourlyRate, max_cost: float | None) -> dict[str, str]:
    """The labels of a job; none for what is not known.

    Args:
        rate: The price of an hour.
        max_cost: The most that all jobs of the run may cost, in USD; None for no limit.
    """
    if rate.usd is None:
        return {}
    source = re.sub(r"[^a-z0-9_-]", "-", rate.source.lower().replace(", ", "__").replace(" ", "_"))
    labels = {RATE_LABEL: _text(rate.usd), PRICES_LABEL: source[:LABEL_LIMIT]}
    return labels if max_cost is None else {**labels, MAX_COST_LABEL: _text(max_cost)}


def rate_of(labels: Mapping[str, str]) -> float | None:
    """A job's price in USD an hour; None if nobody knew it."""
    return _usd(labels.get(RATE_LABEL))


def max_cost_of(labels: Mapping[str, str]) -> float | None:
    """The cap of a job's run in USD; None for no limit."""
    return _usd(labels.get(MAX_COST_LABEL))


def prices_of(labels: Mapping[str, str]) -> str:
    """The price lists, as "built-in table of 2026-11-29"; other characters than a label may have are dashes."""
    return labels.get(PRICES_LABEL, "").replace("__", ", ").replace("_", " ")


def _text(usd: float) -> str:
    return str(round(usd * _MILLIONTHS))


def _usd(text: str | None) -> float | None:
    return int(text) / _MILLIONTHS if text and text.isdecimal() else None
