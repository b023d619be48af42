"""All replicas of one attempt: started together, ended together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from ..faults import SECOND_RUN_SECONDS
from . import outcomes
from .outcomes import Outcome
from .replica.job_spec import JobSpec
from .replica.runner import Exit, Replica, ReplicaRunner

LogMessage = Callable[[str, str], None]
"""Stores a message of the service: a key, for which only the first message is stored, and the text."""


class ReplicaSet:
    """The replicas of an attempt.

    Args:
        runner: Runs them.
        spec: The job's spec.
        job_id: For error messages.
        log: Stores messages of the service.
        last_words: Tells what a replica wrote last, by its name.
        second_start: Seconds after which a failed program is started again, though it can't save the job; 0 for never.
    """

    def __init__(
        self,
        runner: ReplicaRunner,
        spec: JobSpec,
        job_id: str,
        *,
        log: LogMessage,
        last_words: Callable[[str], str],
        second_start: float = 0.0,
    ) -> None:
        self._last_words = last_words
        self._second_start = second_start
        self._runner = runner
        self._spec = spec
        self._job_id = job_id
        self._log = log
        self._names = [name for _, _, name in spec.replicas()]
        self._current: dict[str, Replica] = {}
        self._started = {name: asyncio.Event() for name in self._names}
        self._tasks: dict[str, asyncio.Task[Exit]] = {}
        self._all_started: asyncio.Task[None] | None = None

    async def start(self) -> Outcome | None:
        """Starts every replica unless it was started before; the attempt's outcome, or None when all have started."""
        self._tasks = {name: asyncio.create_task(self._run(name)) for name in self._names}
        self._all_started = asyncio.create_task(_wait_for_all(list(self._started.values())))
        return await self._first_outcome({self._all_started, *self._tasks.values()})

    async def wait(self) -> Outcome:
        """Waits for the end of the primary replica, or the failure of any replica."""
        outcome = await self._first_outcome(set(self._tasks.values()))
        assert outcome is not None
        return outcome

    async def stop(self, grace: float) -> None:
        """Stops the replicas that still run, and waits until all output is in the store."""
        tasks: list[asyncio.Task[Any]] = [*self._tasks.values(), *([self._all_started] if self._all_started else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        replicas = list(self._current.values())
        await _all(replica.stop(grace) for replica in replicas)
        await _all(replica.drain() for replica in replicas)
        await self._runner.clean()

    def adopt(self) -> None:
        """Takes over every run that an earlier service may have started, so that `stop` ends it."""
        runs = range(outcomes.MAX_RESTARTS["crashed"] + 2)  # with a second start after the last of them
        self._current = {f"{name}.{run}": self._runner.replica(name, run) for name in self._names for run in runs}

    async def _first_outcome(self, waiting: set[asyncio.Task[Any]]) -> Outcome | None:
        primary = self._tasks[self._spec.primary]
        while True:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if primary.done() and primary.result().code == 0:
                return Outcome("succeeded", time=primary.result().time)
            for name, task in self._tasks.items():
                if task in done and task.result().code != 0:
                    await self._current[name].drain()
                    words, together = self._last_words(name), self._spec.restart_together
                    return outcomes.exited(name, task.result(), self._job_id, words, restarts_job=together)
            if self._all_started in done:
                return None

    async def _run(self, name: str) -> Exit:
        """Runs one replica with its restarts; returns how its last run ended."""
        restarts_alone = self._spec.retries and not self._spec.restart_together
        number = 0
        while True:
            replica = self._runner.replica(name, number)
            self._current[name] = replica
            if await replica.start():
                self._started[name].set()
            end = await replica.wait()
            restarts_left = number < outcomes.MAX_RESTARTS["crashed"]
            if not (restarts_alone and restarts_left and end.code in outcomes.CRASHES):
                if self._second_start and end.reason == "Error":
                    await self._start_again(name, number + 1)
                return end
            await replica.drain()
            number += 1
            text = f"The replica {name} exited with a non-zero status of {end.code} and is restarted."
            self._log(f"{name}.{number}", text)

    async def _start_again(self, name: str, number: int) -> None:
        """Starts a failed program once more, as the real service was seen to do; its end changes nothing."""
        await self._current[name].drain()
        await asyncio.sleep(self._second_start)
        self._current[name] = replica = self._runner.replica(name, number)
        if await replica.start():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(replica.wait(), SECOND_RUN_SECONDS)


async def _all(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Does all of it at the same time. Most jobs have one replica, whose work needs no task of its own."""
    each = list(work)
    if len(each) == 1:
        await each[0]
    else:
        await asyncio.gather(*each)


async def _wait_for_all(events: list[asyncio.Event]) -> None:
    for event in events:
        await event.wait()
