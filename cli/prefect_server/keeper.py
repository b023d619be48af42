"""Watches over the kept server while a command uses it: if it is gone, it is started again on the same port."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ...core.background.process_lock import is_held
from ...core.errors import PrefectServerError, TrainingError
from ...core.home import Home
from .kept_server import KeptServer, lock_path, stopped_path
from .lifecycle import ensure_running
from .usage import counted_as_use

_INTERVAL = 0.5
"""Seconds between two looks, which cost microseconds, and between two starts that fail."""

_PATIENCE = 60.0
"""Seconds in which starts may fail before the command is given up."""


@contextmanager
def kept_alive(
    home: Home, server: KeptServer, tell: Callable[[str], None], give_up: Callable[[TrainingError], None]
) -> Iterator[None]:
    """Keeps the server for the length of the block.

    Args:
        home: The home folder.
        server: The server that this command uses.
        tell: Gets a line when the server was gone.
        give_up: Called in another thread when a person stopped the server, or it can't be started again: what waits for
            it waits in vain.
    """
    ended = threading.Event()
    arguments = (home, server, tell, give_up, ended)
    watch = threading.Thread(target=_watch, args=arguments, name="prefect-server", daemon=True)
    with counted_as_use(home):
        watch.start()
        try:
            yield
        finally:
            ended.set()


def _watch(
    home: Home,
    server: KeptServer,
    tell: Callable[[str], None],
    give_up: Callable[[TrainingError], None],
    ended: threading.Event,
) -> None:
    gone = 0.0
    while not ended.wait(_INTERVAL):
        if is_held(lock_path(home)):
            gone = 0.0
            continue
        if stopped_path(home).exists():
            give_up(PrefectServerError("the Prefect server was stopped", where="vertex-training local stop"))
            return
        if not gone:
            gone = time.monotonic()
            tell("the Prefect server is gone")
        try:
            ensure_running(home, port=server.port)
            tell("the Prefect server was started again")
        except TrainingError as error:
            if time.monotonic() - gone >= _PATIENCE:
                give_up(error)
                return
