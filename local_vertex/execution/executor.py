"""Runs every live job of a store, in one thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
import traceback
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.errors import StorageError, storage_errors
from ..faults import Switches
from ..store.store import TERMINAL, Store
from .info import ServiceInfo
from .process.path_mapping import share

if TYPE_CHECKING:
    from .context import Context
    from .job import Job

_CHORE_SECONDS = 0.1
_STOP_SECONDS = 5.0


class Executor:
    """What runs the jobs.

    Jobs don't depend on it: when it is gone they go on, and the next one on the same folder finds them.

    Args:
        store: The jobs. One executor at a time runs those of a store.
        folder: For runs, unpacked images and buckets.
        switches: What a test or a lesson has turned.
        environment: Project and region.
    """

    def __init__(self, store: Store, folder: Path, switches: Switches, *, environment: ServiceInfo) -> None:
        self._store = store
        self._runs = folder / "runs"
        self._trees = folder / "trees"
        self._buckets = folder / "buckets"
        self._switches = switches
        self._info = environment
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="jobs", daemon=True)
        self._jobs: dict[str, tuple[Job, asyncio.Task[None]]] = {}
        self._context: Context | None = None
        self._chores: asyncio.Task[None] | None = None

    @property
    def buckets(self) -> Path:
        """The folder whose folders are the buckets."""
        return self._buckets

    def start(self) -> None:
        """Finds every job again that has not ended, and goes on with it.

        Raises:
            StorageError: The folder can't be written.
        """
        for folder in (self._runs, self._trees):
            with storage_errors(folder):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with storage_errors(self._buckets):
            share(self._buckets, self._buckets)
        live = self._store.live()
        self._thread.start()
        for record in live:
            self._soon(self._run(record.id))
        self._soon(self._sweep({record.id for record in live}))

    def submit(self, job_id: str) -> None:
        """Runs a job that is in the store; returns at once."""
        self._soon(self._run(job_id))

    def cancel(self, job_id: str) -> None:
        """Ends a job whose cancellation is in the store; returns at once."""

        def cancel() -> None:
            if found := self._jobs.get(job_id):
                found[0].cancel(found[1])

        self._loop.call_soon_threadsafe(cancel)

    def forget(self, job_id: str) -> None:
        """Removes what a deleted job left on disk; its buckets stay."""
        shutil.rmtree(self._runs / job_id, ignore_errors=True)

    def stop(self) -> None:
        """Ends this executor; its jobs go on."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_STOP_SECONDS)

    def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._leave())
            self._loop.close()

    def _furnish(self) -> Context:
        """What jobs are run with; made for the first one, so that a service without any is ready sooner."""
        from .context import Context
        from .image import Images
        from .log_stream import Tails
        from .process.processes import trees_in_use
        from .process.rootfs import Trees
        from .process.supervisor_client import Supervision

        self._context = Context(
            store=self._store,
            switches=self._switches,
            info=self._info,
            runs=self._runs,
            buckets=self._buckets,
            images=Images(),
            trees=Trees(self._trees, lambda: trees_in_use(self._runs)),
            supervision=Supervision(self._runs),
            tails=Tails(),
            garbage=[],
            bringing=asyncio.Lock(),
            left=threading.Event(),
        )
        self._chores = self._loop.create_task(self._do_chores(self._context))
        return self._context

    async def _leave(self) -> None:
        if self._context is not None:
            self._context.left.set()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._context is not None:
            await self._context.supervision.close()

    async def _run(self, job_id: str) -> None:
        from .job import Job
        from .outcomes import INTERNAL, internal_error

        task = asyncio.current_task()
        assert task is not None
        try:
            record = self._store.get(job_id)
            if record is None:
                return
            job = Job(self._context or self._furnish(), record)
            self._jobs[job_id] = (job, task)
            await job.run()
        except Exception:  # noqa: BLE001 - a fault of this program must end the job, not leave it hanging
            traceback.print_exc()
            with contextlib.suppress(StorageError):
                self._store.transition(
                    job_id, "JOB_STATE_FAILED", error_code=INTERNAL, error_message=internal_error().message
                )
        finally:
            self._jobs.pop(job_id, None)

    async def _do_chores(self, context: Context) -> None:
        """What is done for all jobs together: reading what they write, removing what they leave."""
        while True:
            context.tails.read()
            if context.garbage:
                doomed = list(context.garbage)
                context.garbage.clear()
                await asyncio.to_thread(_remove, doomed)
            await asyncio.sleep(_CHORE_SECONDS)

    async def _sweep(self, live: set[str]) -> None:
        """Removes the folders of jobs that ended just before their service was killed."""

        def sweep() -> None:
            _remove(
                folder
                for folder in self._runs.iterdir()
                if folder.is_dir() and folder.name not in live and self._is_over(folder.name)
            )

        await asyncio.to_thread(sweep)

    def _is_over(self, job_id: str) -> bool:
        record = self._store.get(job_id)
        return record is None or record.state in TERMINAL


def _remove(folders: Iterable[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
