"""Counts the bytes of layers that a Docker engine pulls or pushes, from the progress that it reports."""

from __future__ import annotations

from typing import Any

from ...core.metering.meter import Item, Meter

_MOVING = frozenset(("Downloading", "Pushing"))


class EngineTransfer:
    """The layers of one pull, push or build.

    Args:
        meter: Where their bytes are counted.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._moving: dict[str, Item] = {}

    def handle(self, answer: dict[str, Any]) -> None:
        """Handles one object of the engine's answer to a pull or a push."""
        layer, detail = str(answer.get("id", "")), answer.get("progressDetail") or {}
        if answer.get("status") in _MOVING and "current" in detail:
            self.moved(layer, int(detail["current"]), int(detail.get("total") or 0))
        else:
            self.ended(layer)

    def moved(self, layer: str, current: int, total: int) -> None:
        """So many bytes of a layer have travelled; a total of 0 is unknown."""
        if layer not in self._moving:
            self._moving[layer] = self._meter.item(total or None)
        self._moving[layer].reach(current)

    def ended(self, layer: str) -> None:
        """A layer has arrived, or does something else now."""
        if item := self._moving.pop(layer, None):
            item.close()

    def close(self) -> None:
        """Nothing travels any more."""
        for layer in list(self._moving):
            self.ended(layer)
