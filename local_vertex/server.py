"""The service's process, which `lifecycle` starts with `python -m`."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.atomic_files import write_atomic
from ..core.background.detached import serve_detached
from ..core.background.process_lock import holding
from ..core.errors import LocalServiceError
from ..core.home import Home
from .deferred_grpc_aio import defer_grpc_aio
from .endpoint import ADDED_FIELDS, LocalService, Options, is_listening, lock_path, record_path, socket_path

if TYPE_CHECKING:
    from .service import CreateRunner

_LOCK_SECONDS = 15.0  # that an earlier service may take to end
_RETRIES_WHILE_LISTENING = 10


def main(arguments: list[str]) -> int:
    """Serves until it is told to stop.

    Args:
        arguments: As `serve_detached`; the options are fields of `Options`.
    """
    defer_grpc_aio()
    return serve_detached(arguments, lambda options, ready: _serve(Options(**options), ready))


def _serve(options: Options, ready: Callable[[], None]) -> None:
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with serving(options, stopped, ready):
        stopped.wait()


@contextmanager
def serving(
    options: Options,
    stopped: threading.Event,
    ready: Callable[[], None] = lambda: None,
    create_runner: CreateRunner | None = None,
) -> Iterator[LocalService]:
    """Runs the service in this process until the end of the block.

    Args:
        options: How to start it.
        stopped: Set when a client asks the service to stop.
        ready: Called when the service responds; methods that change a job wait until old jobs were found again.
        create_runner: Creates what runs the jobs, instead of `Executor`.

    Raises:
        LocalServiceError: Another service uses this home.
        StorageError: The disk is full, or the store is invalid.
    """
    home = Home(Path(options.home))
    with ExitStack() as stack:
        stack.enter_context(_store_lock(home))
        from .service import Service  # late, because a service that can't get the lock doesn't need it

        service = Service(home, options, stopped, stack)
        endpoint = service.listen()
        record = record_path(home)
        # Without what is empty: services of earlier versions know fewer fields.
        values = {name: value for name, value in asdict(endpoint).items() if value or name not in ADDED_FIELDS}
        write_atomic(record, json.dumps({**values, "buckets": str(endpoint.buckets)}))
        stack.callback(record.unlink, missing_ok=True)
        ready()
        service.start_runner(create_runner)
        yield endpoint


@contextmanager
def _store_lock(home: Home) -> Iterator[None]:
    """Holds the lock of the store.

    A service that is ending, or was killed, may hold the lock a little longer; one that listens keeps it.

    Raises:
        LocalServiceError: Another service holds the lock.
    """
    deadline, listening = time.monotonic() + _LOCK_SECONDS, 0

    def give_up() -> LocalServiceError | None:
        nonlocal listening
        listening = listening + 1 if is_listening(socket_path(home)) else 0
        if listening < _RETRIES_WHILE_LISTENING and time.monotonic() <= deadline:
            return None
        return LocalServiceError(
            "another service already runs on this store",
            where=home.vertex,
            next_step="Use it, or end it with `vertex-training local stop`",
        )

    with holding(lock_path(home), give_up):
        yield


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
