"""Threads that end together: the first failure stops the others, and is what the caller gets to see."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

from ...core.errors import ImageError

T = TypeVar("T")

_THREADS = 8  # most wait for a network or a disk


class Crew:
    """Runs actions in threads while its block lasts; leaving the block waits for what runs.

    After a failure, in a thread or in the block, what has not begun does not begin, `stopped` tells those that run,
    and the block ends with that failure: who may not push shall hear just that, and not after gigabytes of downloads.
    """

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._failure: BaseException | None = None
        self._makers = ThreadPoolExecutor(_THREADS, thread_name_prefix="make")
        self._fetchers = ThreadPoolExecutor(_THREADS, thread_name_prefix="fetch")
        self._senders = ThreadPoolExecutor(_THREADS, thread_name_prefix="send")

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._fail(error)
        # Nothing is cancelled: as_completed waits for ever for a future that shutdown has cancelled.
        self._makers.shutdown(wait=True)
        self._fetchers.shutdown(wait=True)
        self._senders.shutdown(wait=True)
        if error is not None and self._failure is not None and error is not self._failure:
            raise self._failure

    def make(self, action: Callable[..., T], *args: object) -> Future[T]:
        """Runs `action`, which makes something."""
        return self._makers.submit(self._run, action, *args)

    def fetch(self, action: Callable[..., T], *args: object) -> Future[T]:
        """Runs `action`, which makes something of a download: that begins at once, not behind what only computes."""
        return self._fetchers.submit(self._run, action, *args)

    def send(self, action: Callable[..., T], *args: object) -> Future[T]:
        """Runs `action`, which talks to the target: never behind what is still to be made."""
        return self._senders.submit(self._run, action, *args)

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
