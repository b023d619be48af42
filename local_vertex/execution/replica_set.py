"""All replicas of one attempt: started together, ended together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from . import outcomes
from .outcomes import Ending
from .replica import Backend, Exit, Replica
from .spec import JobSpec

Say = Callable[[str, str], None]
"""Writes a line of the platform's: a key that is said once, and the text."""


class Crew:
    """The replicas of an attempt.

    Args:
        backend: Runs them.
        spec: The job's.
        job_id: For texts.
        say: For lines of the platform's.
    """

    def __init__(self, backend: Backend, spec: JobSpec, job_id: str, say: Say) -> None:
        self._backend = backend
        self._spec = spec
        self._job_id = job_id
        self._say = say
        self._names = [name for _, _, name in spec.replicas()]
        self._current: dict[str, Replica] = {}
        self._up = {name: asyncio.Event() for name in self._names}
        self._lives: dict[str, asyncio.Task[Exit]] = {}
        self._all_up: asyncio.Task[None] | None = None

    async def start(self) -> Ending | None:
        """Starts every replica unless it was started before; the attempt's end, or None when all are up."""
        self._lives = {name: asyncio.create_task(self._live(name)) for name in self._names}
        self._all_up = asyncio.create_task(_wait_for_all(list(self._up.values())))
        return await self._first_end({self._all_up, *self._lives.values()})

    async def wait(self) -> Ending:
        """How the attempt ends: with the primary replica, or with another that fails."""
        ending = await self._first_end(set(self._lives.values()))
        assert ending is not None
        return ending

    async def stop(self, grace: float) -> None:
        """Ends what still runs, and returns when every line is in the store."""
        tasks: list[asyncio.Task[Any]] = [*self._lives.values(), *([self._all_up] if self._all_up else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        replicas = list(self._current.values())
        await asyncio.gather(*(replica.stop(grace) for replica in replicas))
        await asyncio.gather(*(replica.drain() for replica in replicas))
        await self._backend.clean()

    def adopt(self) -> None:
        """Takes charge of all that a service before this one may have started, in order to stop it."""
        runs = range(outcomes.MAX_RESTARTS["crashed"] + 1)
        self._current = {f"{name}.{run}": self._backend.replica(name, run) for name in self._names for run in runs}

    async def _first_end(self, waiting: set[asyncio.Task[Any]]) -> Ending | None:
        primary = self._lives[self._spec.primary]
        while True:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if primary.done() and primary.result().code == 0:
                return Ending("succeeded", time=primary.result().time)
            for name, life in self._lives.items():
                if life in done and life.result().code != 0:
                    return outcomes.exited(name, life.result(), self._job_id, restarts_job=self._spec.restart_together)
            if self._all_up in done:
                return None

    async def _live(self, name: str) -> Exit:
        """One replica with its restarts; gives the last one's end."""
        alone = self._spec.retries and not self._spec.restart_together
        number = 0
        while True:
            replica = self._backend.replica(name, number)
            self._current[name] = replica
            if await replica.start():
                self._up[name].set()
            end = await replica.wait()
            if end.code not in outcomes.CRASHES or not alone or number >= outcomes.MAX_RESTARTS["crashed"]:
                return end
            await replica.drain()
            number += 1
            text = f"The replica {name} exited with a non-zero status of {end.code} and is restarted."
            self._say(f"{name}.{number}", text)


async def _wait_for_all(events: list[asyncio.Event]) -> None:
    for event in events:
        await event.wait()
