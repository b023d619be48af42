"""Runs every job of a store that has not ended, in its own thread."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import threading
import traceback
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.errors import StorageError, storage_errors
from ..faults import Faults
from ..lent_logins import LentLogins
from ..location import Location
from ..store.database import was_replaced
from ..store.records import TERMINAL
from ..store.store import Store
from .replica.bucket_folders import make_shared

if TYPE_CHECKING:
    from .capacity import Capacity
    from .job import Job, Runtimes
    from .replica.context import Context

_REMOVE_SECONDS = 0.1
_REMOVED_AT_ONCE = 200  # a command line has a limit
_STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Environment:
    """What jobs need to run; created for the first job, so that a service without jobs starts faster."""

    context: Context
    runtimes: Runtimes
    capacity: Capacity
    removing: asyncio.Task[None]


class Executor:
    """Runs jobs.

    Jobs don't depend on it: they go on when it ends, and the next executor on the same folder finds them.

    Args:
        store: The jobs. Only one executor at a time may run the jobs of a store.
        folder: The folder for runs, unpacked images and buckets.
        faults: Delays and failures to inject.
        location: The project and region that the service stands for.
        logins: Logins for registries that clients lent the service.
    """

    def __init__(
        self, store: Store, folder: Path, faults: Faults, *, location: Location, logins: LentLogins | None = None
    ) -> None:
        self._store = store
        self._vertex = folder
        self._runs = folder / "runs"
        self._rootfs = folder / "trees"
        self._buckets = folder / "buckets"
        self._faults = faults
        self._location = location
        self._logins = logins or LentLogins()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="jobs", daemon=True)
        self._jobs: dict[str, tuple[Job, asyncio.Task[None]]] = {}
        self._environment: _Environment | None = None
        self._ended: list[Path] = []

    @property
    def buckets(self) -> Path:
        """The folder with one folder for each bucket."""
        return self._buckets

    def start(self) -> None:
        """Finds every job that has not ended, and continues it.

        Raises:
            StorageError: The folder can't be written.
        """
        for folder in (self._runs, self._rootfs):
            with storage_errors(folder):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with storage_errors(self._buckets):
            make_shared(self._buckets, self._buckets)
        live = self._store.live()
        self._thread.start()
        for record in live:
            self._schedule(self._run(record.id))
        self._schedule(self._remove_leftovers({record.id for record in live}))

    def submit(self, job_id: str) -> None:
        """Runs a job of the store; returns at once."""
        self._schedule(self._run(job_id))

    def cancel(self, job_id: str) -> None:
        """Ends a job whose cancellation is in the store; returns at once."""

        def cancel() -> None:
            if found := self._jobs.get(job_id):
                found[0].cancel(found[1])

        self._loop.call_soon_threadsafe(cancel)

    def forget(self, job_id: str) -> None:
        """Removes the files of a deleted job, except those in buckets."""
        shutil.rmtree(self._runs / job_id, ignore_errors=True)

    def stop(self) -> None:
        """Stops this executor; its jobs go on."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_STOP_SECONDS)

    def _schedule(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._close())
            self._loop.close()

    def _create_environment(self) -> _Environment:
        from .capacity import Capacity
        from .container.container_runner import ContainerRuntime
        from .container.images import find_in_engine
        from .job import Runtimes
        from .process.process_runner import ProcessRuntime
        from .replica.context import Context
        from .replica.image import Images
        from .replica.own_threads import OwnThreads
        from .replica.storage_access import StorageAccess

        context = Context(
            store=self._store,
            faults=self._faults,
            location=self._location,
            runs=self._runs,
            buckets=self._buckets,
            images=Images(find_in_engine, self._logins),
            threads=OwnThreads(),
            storage=StorageAccess(self._vertex, self._location),
            stopping=threading.Event(),
        )
        runtimes = Runtimes(ProcessRuntime(context, self._rootfs), ContainerRuntime(context))
        return _Environment(context, runtimes, Capacity(self._faults), self._loop.create_task(self._remove_ended()))

    async def _close(self) -> None:
        if self._environment is not None:
            self._environment.context.stopping.set()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        _remove(self._ended)  # what is left here counts as the folders of jobs that go on
        if self._environment is not None:
            await self._environment.runtimes.close()

    async def _run(self, job_id: str) -> None:
        from .job import Job
        from .outcomes import INTERNAL, internal_error

        task = asyncio.current_task()
        assert task is not None
        try:
            record = self._store.get(job_id)
            if record is None:
                return
            self._environment = self._environment or self._create_environment()
            job = Job(self._environment.context, self._environment.runtimes, self._environment.capacity, record)
            self._jobs[job_id] = (job, task)
            await job.run()
            self._ended.append(self._runs / job_id)
        except Exception:  # noqa: BLE001 - a fault of this program must end the job, not leave it hanging
            traceback.print_exc()
            with contextlib.suppress(StorageError):
                self._store.transition(
                    job_id, "JOB_STATE_FAILED", error_code=INTERNAL, error_message=internal_error().message
                )
        finally:
            self._jobs.pop(job_id, None)

    async def _remove_ended(self) -> None:
        """Removes the folders of jobs that have ended, many at a time and in another thread."""
        while True:
            if self._ended:
                folders, self._ended = self._ended, []
                await asyncio.to_thread(_remove, folders)
            await asyncio.sleep(_REMOVE_SECONDS)

    async def _remove_leftovers(self, live: set[str]) -> None:
        """Removes the folders of jobs that ended just before the service was killed."""

        def remove() -> None:
            _remove(
                folder
                for folder in self._runs.iterdir()
                if folder.is_dir() and folder.name not in live and self._has_ended(folder.name)
            )

        await asyncio.to_thread(remove)

    def _has_ended(self, job_id: str) -> bool:
        record = self._store.get(job_id)
        if record is None:  # deleted, unless the store that knew the job was damaged
            return not was_replaced(self._store.path)
        return record.state in TERMINAL


def _remove(folders: Iterable[Path]) -> None:
    """Removes folders with `rm`: Python would take a tenth of a short job's time for it, and hold up other threads."""
    paths = [str(folder) for folder in folders]
    for begin in range(0, len(paths), _REMOVED_AT_ONCE):
        command = ["rm", "-rf", "--", *paths[begin : begin + _REMOVED_AT_ONCE]]
        with contextlib.suppress(OSError):
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
