"""The execution of one job, from the first attempt to its terminal state.

A new service starts here again for every job that has not ended when the service before it was killed. Each step is
safe to repeat: decisions are stored before they are carried out, and a run that was started is found, not started
again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ...core.errors import ImageError, StorageError, TrainingError
from ..location import Location
from ..store.records import JobRecord
from . import outcomes
from .capacity import Capacity
from .outcomes import Outcome
from .replica.attempt import Attempt
from .replica.context import Context
from .replica.image import host_of
from .replica.job_spec import JobSpec, Pool
from .replica.last_words import last_words
from .replica.log_stream import service_lines
from .replica.runner import ReplicaRuntime
from .replica_set import ReplicaSet

_RETRY_SECONDS = 1.0
_LOOK_SECONDS = 0.1  # between looks for machines
T = TypeVar("T")

_CANCELLED_START_SECONDS = 0.1

_FRAMEWORK = "Vertex AI is provisioning job running framework."
_BEGINNING = (
    "Waiting for job to be provisioned.",
    f"{_FRAMEWORK} First time usage might take couple of minutes, and subsequent runs can be much faster.",
    "Vertex AI is setting up this job.",
    "Waiting for training program to start.",
)
_TORN_DOWN = "Finished tearing down training program."
_ENDINGS = {
    "succeeded": ("JOB_STATE_SUCCEEDED", _TORN_DOWN, "Job completed successfully."),
    "cancelled": ("JOB_STATE_CANCELLED", "Job cancelled."),
    "expired": ("JOB_STATE_EXPIRED", "Job expired."),
}
"""The terminal state and the last lines by kind of outcome."""
_FAILURE = ("JOB_STATE_FAILED", _TORN_DOWN, "Job failed.")


@dataclass(frozen=True, slots=True)
class Runtimes:
    """The ways to run replicas.

    Attributes:
        processes: For images without a base.
        containers: For images with a base.
    """

    processes: ReplicaRuntime
    containers: ReplicaRuntime

    async def close(self) -> None:
        """Releases this service's resources; replicas go on."""
        await self.processes.close()
        await self.containers.close()


class Job:
    """Runs one job of the store.

    Args:
        context: What all jobs share.
        runtimes: The ways to run replicas.
        capacity: How many jobs may run at a time.
        record: The job's present record.
    """

    def __init__(self, context: Context, runtimes: Runtimes, capacity: Capacity, record: JobRecord) -> None:
        self._context = context
        self._runtimes = runtimes
        self._capacity = capacity
        self._record = record
        own = Location(record.project, record.project_number, record.region)
        self._location = own if record.project else context.location
        self._id = record.id
        self._spec = JobSpec.parse(record.spec)
        self._restarts: dict[str, int] = dict(record.detail.get("restarts", {}))
        self._plan: dict[str, Any] = record.detail.get("plan", {})
        self._stored_outcome: dict[str, Any] | None = record.detail.get("ending")
        self._replicas: ReplicaSet | None = None
        self._is_cancelled = record.cancel_requested
        self._is_finishing = False

    def cancel(self, task: asyncio.Task[None]) -> None:
        """Ends the job that `task` runs."""
        if not self._is_cancelled and not self._is_finishing:
            self._is_cancelled = True
            task.cancel()

    async def run(self) -> None:
        """Returns when the job has ended. If its task is cancelled, but not through `cancel`, the replicas go on."""
        region, has_place = self._location.region, False
        try:
            if not self._is_cancelled:
                self._log("begin", *_BEGINNING)
            has_place = await self._place_in_queue(region)
            outcome = await self._attempts() if has_place else outcomes.expired(self._spec.max_wait)
            await self._tear_down(outcome)
            self._is_finishing = True
        except asyncio.CancelledError:
            if not self._is_cancelled:
                raise
            self._is_finishing = True
            await self._stop()
            outcome = outcomes.cancelled()
        finally:
            if has_place:
                self._capacity.give_back(region)
        await self._finish(outcome)

    async def _place_in_queue(self, region: str) -> bool:
        """Waits until the region has room for this job; False if that took longer than FLEX_START may wait."""
        waits = not (self._is_planned or self._is_cancelled)
        try:
            async with asyncio.timeout(self._wait_left() if waits else None):
                await self._capacity.take(region, wait=waits)
        except TimeoutError:
            return False
        return True

    def _wait_left(self) -> float | None:
        """Seconds for which this job may still wait for machines; None for ever."""
        if self._spec.strategy != "FLEX_START" or not self._spec.max_wait:
            return None
        return max(0.0, (self._record.create_time or 0.0) + self._spec.max_wait - time.time())

    async def _tear_down(self, outcome: Outcome) -> None:
        """Waits as long as the platform takes to end a job."""
        if outcome.kind == "succeeded":
            self._log("teardown", "Tearing down training program.")
        else:
            self._log("teardown", outcome.message, severity="ERROR")
        begin = outcome.time or time.time()
        await asyncio.sleep(max(0.0, begin + self._fault("teardown_seconds") - time.time()))

    # Attempts

    @property
    def _attempt(self) -> int:
        return 1 + sum(self._restarts.values())

    async def _attempts(self) -> Outcome:
        while True:
            try:
                outcome = await self._one_attempt()
            except TrainingError as error:
                kind = "internal" if error.transient else "failed"
                outcome = Outcome(kind, outcomes.INVALID_ARGUMENT, str(error))
            except Exception:  # noqa: BLE001 - a fault of this program must end the job, not leave it hanging
                traceback.print_exc()
                outcome = outcomes.internal_error()
            if outcome.kind != "succeeded":
                await self._store_outcome(outcome)
            await self._stop()
            count = self._restarts.get(outcome.kind, 0)
            if not self._spec.retries or count >= outcomes.MAX_RESTARTS.get(outcome.kind, 0):
                return outcome
            text = f"{outcome.message} The job is restarted."
            self._log(f"restart-{self._attempt}", text, severity="WARNING")
            self._restarts[outcome.kind] = count + 1
            self._stored_outcome = None
            await self._note(restarts=self._restarts, ending=None)
            await self._set_state("JOB_STATE_PENDING")

    async def _one_attempt(self) -> Outcome:
        if self._is_cancelled or self._stored_outcome:
            # An earlier service has decided this; it was killed before it had stopped all replicas.
            if self._is_planned:
                self._replicas = await self._replica_set()
                self._replicas.adopt()
            if self._is_cancelled:
                raise asyncio.CancelledError
            return Outcome(**(self._stored_outcome or {}))
        if not self._is_planned:
            self._log("preparing", "Job is preparing.")
            if self._attempt == 1 and not self._spec.persistent_resource:
                waited = time.time() - (self._record.create_time or 0.0)
                await asyncio.sleep(max(0.0, self._fault("pending_seconds") - waited))
            if (missing := await self._without_machines()) is not None:
                return missing
        self._replicas = await self._replica_set()
        return await self._run_replicas(self._replicas)

    async def _without_machines(self) -> Outcome | None:
        """How an attempt ends that gets no machines; None for one that gets them, after waiting with FLEX_START."""
        region, faults = self._location.region, self._context.faults
        if self._spec.strategy != "FLEX_START":
            return outcomes.stock_out(region) if faults.is_stocked_out(region) or self._take("stock_out") else None
        begin = self._record.create_time or 0.0
        while faults.is_stocked_out(region) or time.time() < begin + self._fault("flex_start_seconds"):
            if self._wait_left() == 0.0:
                return outcomes.expired(self._spec.max_wait)
            await asyncio.sleep(_LOOK_SECONDS)
        return None

    async def _run_replicas(self, replicas: ReplicaSet) -> Outcome:
        outcome = await replicas.start()
        if outcome is not None and outcome.kind != "succeeded":
            return outcome
        await self._set_running()
        if outcome is not None:
            return outcome
        preempted = self._fault("preempt_after_seconds") if self._take("preempt") else None
        if self._take("out_of_memory"):
            return outcomes.low_memory(self._spec.pools[0].name)
        left = max(0.0, (self._record.start_time or time.time()) + self._spec.timeout - time.time())
        try:
            async with asyncio.timeout(left if preempted is None else min(left, preempted)):
                return await replicas.wait()
        except TimeoutError:
            if preempted is not None and preempted <= left:
                return outcomes.preempted(self._spec.primary)
            return outcomes.timed_out(self._spec.timeout)

    async def _store_outcome(self, outcome: Outcome) -> None:
        """Stores the outcome before replicas are stopped: that produces exit statuses, which are not the outcome."""
        if self._replicas is not None:
            await self._note(ending={"kind": outcome.kind, "code": outcome.code, "message": outcome.message})

    async def _stop(self) -> None:
        if self._replicas is not None:
            await self._replicas.stop(self._context.faults.grace_seconds)
            self._replicas = None

    # The plan of an attempt: what must be the same for all replicas, whichever service starts them

    @property
    def _is_planned(self) -> bool:
        return self._plan.get("attempt") == self._attempt

    async def _replica_set(self) -> ReplicaSet:
        if not self._is_planned:
            self._plan = {"attempt": self._attempt, **await self._make_plan()}
            await self._note(plan=self._plan)
        runtime = self._runtimes.containers if self._plan["containers"] else self._runtimes.processes
        attempt = Attempt(self._id, self._attempt, self._spec, self._plan["addresses"], self._location)
        prefix, store = self._attempt, self._context.store
        return ReplicaSet(
            await runtime.runner(attempt),
            self._spec,
            self._id,
            log=lambda key, text: self._log(f"{prefix}/{key}", text, severity="WARNING"),
            last_words=lambda name: last_words(store, self._id, name),
            second_start=self._fault("second_start_seconds"),
        )

    async def _make_plan(self) -> dict[str, Any]:
        """Chooses processes or containers by the images, and the replicas' addresses."""
        have_base = {await self._needs_container(pool) for pool in self._spec.pools}
        if len(have_base) > 1:
            raise ImageError(
                "some images of the job have a base and some don't, so its replicas can't reach each other",
                where=", ".join(pool.image for pool in self._spec.pools),
                next_step="Build all of them with a base, or all without",
            )
        use_containers = have_base == {True}
        runtime = self._runtimes.containers if use_containers else self._runtimes.processes
        await runtime.check()
        return {"containers": use_containers, "addresses": dict(runtime.addresses(self._spec))}

    async def _needs_container(self, pool: Pool) -> bool:
        """Whether a pool's image has a base. A package runs without its image where that can't be had."""
        images, threads = self._context.images, self._context.threads
        try:
            image = images.cached(pool.image) or await threads.run("engine", lambda: images.in_engine(pool.image))
            image = image or await threads.run(host_of(pool.image), lambda: images.find(pool.image))
        except TrainingError as error:
            if pool.package is None:
                raise
            text = (
                f"The executor image {pool.image} can't be had here ({error.what}): the package runs in a virtual"
                " environment of this machine, with its own requirements only."
            )
            self._log(f"package-{self._attempt}", text, severity="WARNING")
            return False
        return image.has_base

    # The store

    def _fault(self, name: str) -> float:
        return self._context.faults.value(name, self._location.region)

    def _take(self, name: str) -> bool:
        return self._context.faults.take(name, self._location.region)

    async def _set_running(self) -> None:
        now = float(int(time.time()))
        self._record.start_time = self._record.start_time or now
        key, attempt = f"running-{self._attempt}", self._attempt
        await self._set_state("JOB_STATE_RUNNING", (key, "Job is running."), start_time=now, attempt=attempt)

    async def _finish(self, outcome: Outcome) -> None:
        """Stores the last log entries and the terminal state."""
        state, *lines = _ENDINGS.get(outcome.kind, _FAILURE)
        start_time = end_time = None
        if outcome.kind == "cancelled":
            # A job that never ran has a start time, too, a moment after its creation.
            start_time = min((self._record.create_time or 0.0) + _CANCELLED_START_SECONDS, time.time())
        else:
            end_time = time.time()
            if lag := self._fault("update_lag_seconds"):
                self._log("end", *lines)
                await asyncio.sleep(lag)
        code, message = (outcome.code, outcome.message) if outcome.code else (None, None)

        def end() -> None:
            # Together: clients that read entries until the job has ended must get all of them.
            with self._context.store.together():
                self._log("end", *lines)
                self._context.store.transition(
                    self._id, state, start_time=start_time, end_time=end_time, error_code=code, error_message=message
                )

        await self._until_stored(end)

    async def _set_state(
        self,
        state: str,
        line: tuple[str, str] | None = None,
        **values: Any,  # noqa: ANN401 - those of `Store.transition`
    ) -> None:
        """Changes the state; `line` is the key and the text of a log entry that belongs to it."""
        expected = ("JOB_STATE_QUEUED", "JOB_STATE_PENDING", "JOB_STATE_RUNNING")

        def change() -> None:
            with self._context.store.together():
                self._context.store.transition(self._id, state, expected=expected, **values)
                if line is not None:
                    self._log(*line)

        await self._until_stored(change)

    async def _note(self, **detail: object) -> None:
        await self._until_stored(lambda: self._context.store.note(self._id, **detail))

    def _log(self, key: str, *texts: str, severity: str = "INFO") -> None:
        # On a full disk, messages of the service are dropped: they are not worth delaying a job.
        with contextlib.suppress(StorageError):
            service_lines(self._context.store, self._id, key, texts, severity)

    async def _until_stored(self, action: Callable[[], T]) -> T:
        """Retries until the store can be written: when a full disk gets room again, nothing is lost."""
        while True:
            try:
                return action()
            except StorageError:
                await asyncio.sleep(_RETRY_SECONDS)
