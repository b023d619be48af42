"""Watches over the kept server while a command uses it: if it is gone, it is started again on the same port."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ...core.background.process_lock import is_held
from ...core.errors import TrainingError
from ...core.home import Home
from .kept_server import KeptServer, lock_path, stopped_path
from .lifecycle import ensure_running
from .usage import counted_as_use

_INTERVAL = 0.5
"""Seconds between two looks, which cost microseconds."""

_TRIES = 3
"""Starts that may fail before the command has to do without: Prefect's client tries for a minute."""


@contextmanager
def kept_alive(home: Home, server: KeptServer, tell: Callable[[str], None]) -> Iterator[None]:
    """Keeps the server for the length of the block.

    Args:
        home: The home folder.
        server: The server that this command uses.
        tell: Gets a line when the server was gone.
    """
    ended = threading.Event()
    watch = threading.Thread(target=_watch, args=(home, server, tell, ended), name="prefect-server", daemon=True)
    with counted_as_use(home):
        watch.start()
        try:
            yield
        finally:
            ended.set()


def _watch(home: Home, server: KeptServer, tell: Callable[[str], None], ended: threading.Event) -> None:
    failures = 0
    while not ended.wait(_INTERVAL) and failures < _TRIES:
        if is_held(lock_path(home)):
            continue
        if stopped_path(home).exists():
            tell("the Prefect server was stopped")
            return
        try:
            _, started = ensure_running(home, port=server.port)
            if started:
                tell("the Prefect server was gone, and was started again")
        except TrainingError as error:
            failures += 1
            tell(f"the Prefect server is gone, and can't be started again: {error}")
