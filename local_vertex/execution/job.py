"""The life of one job, from the first attempt to its terminal state.

A service that was killed begins here again for every job that has not ended. Each step is safe to repeat: what was
decided stands in the store or in a run's folder before it is done, and a run that was started is found, not started.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from ...core.errors import DockerError, ImageError, StorageError, TrainingError
from ..store.store import JobRecord
from . import outcomes
from .attempt import Attempt, container_addresses, process_addresses
from .context import Context
from .log_stream import service_line
from .outcomes import Ending
from .process.processes import Processes
from .replica import Backend
from .replica_set import Crew
from .spec import JobSpec

_RETRY_SECONDS = 1.0
T = TypeVar("T")


class Job:
    """Runs one job of the store.

    Args:
        context: What it is run with.
        record: As the store has it now.
    """

    def __init__(self, context: Context, record: JobRecord) -> None:
        self._context = context
        self._record = record
        self._id = record.id
        self._spec = JobSpec.parse(record.spec)
        self._restarts: dict[str, int] = dict(record.detail.get("restarts", {}))
        self._plan: dict[str, Any] = record.detail.get("plan", {})
        self._decided: dict[str, Any] | None = record.detail.get("ending")
        self._crew: Crew | None = None
        self._is_cancelled = record.cancel_requested
        self._is_finishing = False

    def cancel(self, task: asyncio.Task[None]) -> None:
        """Ends the job, which `task` runs."""
        if not self._is_cancelled and not self._is_finishing:
            self._is_cancelled = True
            task.cancel()

    async def run(self) -> None:
        """Returns when the job has ended. When the task is cancelled from elsewhere, the job goes on without it."""
        try:
            ending = await self._attempts()
            if ending.kind == "succeeded":
                wait = ending.time + self._context.switches.teardown_seconds - time.time()
                await asyncio.sleep(max(0.0, wait))
            self._is_finishing = True
        except asyncio.CancelledError:
            if not self._is_cancelled:
                raise
            self._is_finishing = True
            await self._stop()
            ending = Ending("cancelled", outcomes.CANCELLED, "The job was cancelled.")
        await self._finish(ending)

    # Attempts

    @property
    def _attempt(self) -> int:
        return 1 + sum(self._restarts.values())

    async def _attempts(self) -> Ending:
        while True:
            try:
                ending = await self._one_attempt()
            except TrainingError as error:
                kind = "internal" if error.transient else "failed"
                ending = Ending(kind, outcomes.INVALID_ARGUMENT, str(error))
            except Exception:  # noqa: BLE001 - a fault of this program must end the job, not leave it hanging
                traceback.print_exc()
                ending = outcomes.internal_error()
            if ending.kind != "succeeded":
                await self._decide(ending)
            await self._stop()
            count = self._restarts.get(ending.kind, 0)
            if not self._spec.retries or count >= outcomes.MAX_RESTARTS.get(ending.kind, 0):
                return ending
            self._say(f"restart-{self._attempt}", f"{ending.message} The job is restarted.", "WARNING")
            self._restarts[ending.kind] = count + 1
            self._decided = None
            await self._note(restarts=self._restarts, ending=None)
            await self._move("JOB_STATE_PENDING")

    async def _one_attempt(self) -> Ending:
        if self._is_cancelled or self._decided:
            # What ran is still to be stopped; a service that was killed had come that far.
            if self._was_planned:
                self._crew = await self._gather()
                self._crew.adopt()
            if self._is_cancelled:
                raise asyncio.CancelledError
            return Ending(**(self._decided or {}))
        if not self._was_planned:
            self._say("preparing", "Job is preparing.")
            if self._attempt == 1:
                waited = time.time() - (self._record.create_time or 0.0)
                await asyncio.sleep(max(0.0, self._context.switches.pending_seconds - waited))
            if self._context.switches.take("stock_out"):
                return outcomes.stock_out(self._context.info.region)
        self._crew = await self._gather()
        return await self._watch(self._crew)

    async def _watch(self, crew: Crew) -> Ending:
        ending = await crew.start()
        if ending is not None and ending.kind != "succeeded":
            return ending
        await self._set_running()
        if ending is not None:
            return ending
        if self._context.switches.take("preempt"):
            return outcomes.preempted(self._spec.primary)
        if self._context.switches.take("out_of_memory"):
            return outcomes.low_memory(self._spec.pools[0].name)
        left = (self._record.start_time or time.time()) + self._spec.timeout - time.time()
        try:
            async with asyncio.timeout(max(0.0, left)):
                return await crew.wait()
        except TimeoutError:
            return outcomes.timed_out(self._spec.timeout)

    async def _decide(self, ending: Ending) -> None:
        """Stopping replicas makes exit statuses of its own: what ended the attempt must be known before."""
        if self._crew is not None:
            await self._note(ending={"kind": ending.kind, "code": ending.code, "message": ending.message})

    async def _stop(self) -> None:
        if self._crew is not None:
            await self._crew.stop(self._context.switches.grace_seconds)
            self._crew = None

    # The plan: what must be the same for every replica, whichever service starts it

    @property
    def _was_planned(self) -> bool:
        return self._plan.get("attempt") == self._attempt

    async def _gather(self) -> Crew:
        if not self._was_planned:
            self._plan = {"attempt": self._attempt, **await self._make_plan()}
            await self._note(plan=self._plan)
        info = self._context.info
        attempt = Attempt(
            self._id, self._attempt, self._spec, self._plan["addresses"], info.project_number, info.region
        )
        prefix = self._attempt
        return Crew(
            await self._backend(attempt),
            self._spec,
            self._id,
            lambda key, text: self._say(f"{prefix}/{key}", text, "WARNING"),
        )

    async def _make_plan(self) -> dict[str, Any]:
        """Decides by the images how the replicas run."""
        images = self._context.images
        have_base = set()
        for pool in self._spec.pools:
            image = images.known(pool.image) or await asyncio.to_thread(images.find, pool.image)
            have_base.add(image.has_base)
        if have_base == {False}:
            return {"containers": False, "addresses": process_addresses(self._spec)}
        if have_base == {True}:
            from .container.containers import connect

            (await asyncio.to_thread(connect)).close()
            return {"containers": True, "addresses": container_addresses(self._spec)}
        raise ImageError(
            "some images of the job bring a base system and some don't, so its replicas can't reach each other",
            where=", ".join(pool.image for pool in self._spec.pools),
            next_step="Build all of them with a base, or none",
        )

    async def _backend(self, attempt: Attempt) -> Backend:
        if not self._plan["containers"]:
            return Processes(self._context, attempt)
        from .container.containers import Containers

        while True:
            try:
                return await asyncio.to_thread(Containers, self._context, attempt)
            except DockerError:
                # There was one when the plan was made, and containers may be running in it.
                await asyncio.sleep(_RETRY_SECONDS)

    # The store

    async def _set_running(self) -> None:
        now = float(int(time.time()))
        self._record.start_time = self._record.start_time or now
        await self._move("JOB_STATE_RUNNING", start_time=now, attempt=self._attempt)
        self._say(f"running-{self._attempt}", "Job is running.")

    async def _finish(self, ending: Ending) -> None:
        """Says it, stores it, removes what the job left on disk."""
        state, text, severity = {
            "succeeded": ("JOB_STATE_SUCCEEDED", "Job completed successfully.", "INFO"),
            "cancelled": ("JOB_STATE_CANCELLED", "Job was cancelled.", "INFO"),
        }.get(ending.kind, ("JOB_STATE_FAILED", f"Job failed. {ending.message}", "ERROR"))
        # Before the state: who reads lines until a job has ended must see them all.
        self._say("end", text, severity)
        code, message = (ending.code, ending.message) if ending.code else (None, None)
        store = self._context.store
        await self._durably(lambda: store.transition(self._id, state, error_code=code, error_message=message))
        if self._plan:
            self._context.garbage.append(self._context.runs / self._id)

    async def _move(self, state: str, **values: Any) -> None:  # noqa: ANN401 - `Store.transition`'s
        expected = ("JOB_STATE_QUEUED", "JOB_STATE_PENDING", "JOB_STATE_RUNNING")
        await self._durably(lambda: self._context.store.transition(self._id, state, expected=expected, **values))

    async def _note(self, **detail: object) -> None:
        await self._durably(lambda: self._context.store.note(self._id, **detail))

    def _say(self, key: str, text: str, severity: str = "INFO") -> None:
        # A line of the platform's is not worth a job: on a full disk it is left out.
        with contextlib.suppress(StorageError):
            service_line(self._context.store, self._id, key, text, severity)

    async def _durably(self, action: Callable[[], T]) -> T:
        """Tries until the store can be written: a full disk may become free again, and then nothing was lost."""
        while True:
            try:
                return action()
            except StorageError:
                await asyncio.sleep(_RETRY_SECONDS)
