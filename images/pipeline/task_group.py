"""A group of concurrent tasks that ends as a whole: the first failure stops the others and is raised."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

from ...core.errors import ImageError

T = TypeVar("T")

_THREADS = 8  # most wait for a network or a disk


class TaskGroup:
    """Runs tasks in threads within a `with` block; the end of the block waits for running tasks.

    After a failure in a task or in the block, waiting tasks don't start, `stopped` is set for those that run, and the
    block raises that first failure. So a missing permission to push is reported at once, not after all downloads.
    """

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._failure: BaseException | None = None
        self._compute_pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="make")
        self._download_pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="fetch")
        self._upload_pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="send")

    def __enter__(self) -> TaskGroup:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._fail(error)
        # Futures aren't cancelled: as_completed never returns a future that shutdown has cancelled.
        self._compute_pool.shutdown(wait=True)
        self._download_pool.shutdown(wait=True)
        self._upload_pool.shutdown(wait=True)
        if error is not None and self._failure is not None and error is not self._failure:
            raise self._failure

    def make(self, action: Callable[..., T], *args: object) -> Future[T]:
        """Runs `action`, which computes something."""
        return self._compute_pool.submit(self._run, action, *args)

    def fetch(self, action: Callable[..., T], *args: object) -> Future[T]:
        """Runs `action`, which starts with a download: it doesn't wait for tasks that compute."""
        return self._download_pool.submit(self._run, action, *args)

    def send(self, action: Callable[..., T], *args: object) -> Future[T]:
        """Runs `action`, which sends requests to the target: it doesn't wait for tasks that compute or download."""
        return self._upload_pool.submit(self._run, action, *args)

    def _run(self, action: Callable[..., T], *args: object) -> T:
        if self.stopped.is_set():
            raise ImageError("the build was stopped")
        try:
            return action(*args)
        except BaseException as error:
            self._fail(error)
            raise

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._failure = self._failure or error
        self.stopped.set()
