"""How many jobs of a region run at a time: the machines that a region has, as the switch `capacity` sets it."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque

from ..faults import Faults

_LOOK_SECONDS = 0.1  # the switch can be changed at any time


class Capacity:
    """Counts the jobs that run in each region; the others wait in a queue. To be used in one event loop.

    Args:
        faults: Has the switch; 0 is no limit.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._running: Counter[str] = Counter()
        self._queues: defaultdict[str, deque[object]] = defaultdict(deque)

    async def take(self, region: str, *, wait: bool) -> None:
        """Counts a job that is about to run, when there is room for it and no other job waits for longer.

        Args:
            region: The job's region.
            wait: False for a job that runs already.
        """
        if wait:
            queue, place = self._queues[region], object()
            queue.append(place)
            try:
                while queue[0] is not place or self._is_full(region):
                    await asyncio.sleep(_LOOK_SECONDS)
            finally:
                queue.remove(place)
        self._running[region] += 1

    def give_back(self, region: str) -> None:
        """Counts a job that has ended."""
        self._running[region] -= 1

    def _is_full(self, region: str) -> bool:
        return 0 < self._faults.value("capacity", region) <= self._running[region]
