"""The service's process, which `lifecycle` starts with `python -m`."""

from __future__ import annotations

import json
import os
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
from ..core.errors import LocalServiceError, TrainingError
from ..core.home import Home
from .endpoint import ADDED_FIELDS, LocalService, Options, is_listening, record_path, socket_path

if TYPE_CHECKING:
    from .service import CreateRunner

_LOCK_SECONDS = 15.0  # that an earlier service may take to end
_RETRY_SECONDS = 0.02
_RETRIES_WHILE_LISTENING = 10


def main(arguments: list[str]) -> int:
    """Serves until it is told to stop.

    Args:
        arguments: The options as JSON, and the number of a file descriptor, to which "ok" or an error is written.
    """
    options, descriptor = Options(**json.loads(arguments[0])), int(arguments[1])
    # The parent waits for this process only until here: the service outlives the process that started it.
    if os.fork():
        os._exit(0)  # public, in spite of its name: ends the parent without its exit handlers
    os.set_inheritable(descriptor, False)
    with os.fdopen(descriptor, "w") as pipe:

        def report_ready() -> None:
            pipe.write("ok")
            pipe.close()

        try:
            _serve(options, report_ready)
        except TrainingError as error:
            if pipe.closed:
                raise
            pipe.write(json.dumps({"what": error.what, "where": error.where, "next_step": error.next_step}))
            return 1
    return 0


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
    """Holds the lock of the store. It is a POSIX lock, which children don't inherit, because jobs outlive the service.

    A service that is ending, or was killed, may hold the lock a little longer; one that listens keeps it.

    Raises:
        LocalServiceError: Another service holds the lock.
    """
    import fcntl

    deadline, listening = time.monotonic() + _LOCK_SECONDS, 0
    with (home.vertex / "service.lock").open("a+") as file:
        while True:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                listening = listening + 1 if is_listening(socket_path(home)) else 0
                if listening >= _RETRIES_WHILE_LISTENING or time.monotonic() > deadline:
                    raise LocalServiceError(
                        "another service already runs on this store",
                        where=home.vertex,
                        next_step="Use it, or end it with `vertex-training local stop`",
                    ) from error
                time.sleep(_RETRY_SECONDS)
        yield


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
