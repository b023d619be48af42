"""Starts, finds and stops the kept server. Each home folder has one, which outlives the command that started it."""

from __future__ import annotations

import http.client
import os
import signal
import time
from base64 import b64encode
from collections.abc import Callable
from importlib.metadata import version

from packaging.version import Version

from ...core.background.detached import READY, reported_error, start_detached
from ...core.background.process_lock import is_held, one_at_a_time
from ...core.errors import PrefectServerError, StorageError
from ...core.home import Home
from .kept_server import KeptServer, lock_path, log_path, read_record, stopped_path

START_SECONDS = 180.0
"""Longest wait for a start. A home's first one makes the database, which takes some 15 s on a busy machine."""

ANSWER_SECONDS = 20.0
"""Longest wait for an answer of a running server."""

_STOP_SECONDS = 20.0
_LARGEST_LOG = 5_000_000


def ensure_running(
    home: Home, *, port: int | None = None, starting: Callable[[], None] = lambda: None
) -> tuple[KeptServer, bool]:
    """The server of a home, and whether this call started it. A server of an older Prefect is replaced.

    Many processes may call this at once: one of them starts the server, and all get the same.

    Args:
        home: The home folder.
        port: The only port that will do. Default: that of the last start, or another if it is taken.
        starting: Called before a server is started.

    Raises:
        PrefectServerError: It can't be started.
        StorageError: The disk is full or read-only.
    """
    found = find(home)
    if found is not None and not _is_outdated(found):
        return found, False
    try:
        with one_at_a_time(home.prefect / "start.lock"):
            found = find(home)
            if found is not None and not _is_outdated(found):
                return found, False
            starting()
            if found is not None:
                stop(home)
            return _start(home, port), True
    except PermissionError as error:
        raise StorageError(
            "the Prefect server's files can't be written: permission denied",
            where=error.filename or home.root,
            next_step="Set VERTEX_TRAINING_HOME to a folder that you can write to",
        ) from error


def answering(home: Home, *, starting: Callable[[], None] = lambda: None) -> KeptServer:
    """The server of a home, which has answered; it is started if it does not run.

    Args:
        home: The home folder.
        starting: Called before a server is started.

    Raises:
        PrefectServerError: It can't be started, or gives no answer.
        StorageError: The disk is full or read-only.
    """
    server, _ = ensure_running(home, starting=starting)
    try:
        check_answer(server)
    except PrefectServerError:
        if find(home) is not None:
            raise
        server, _ = ensure_running(home, starting=starting)  # it was just about to end
        check_answer(server)
    return server


def find(home: Home) -> KeptServer | None:
    """The running server of a home; None if none runs, or if it has not finished its start."""
    if not home.root.is_dir():
        return None
    server = read_record(home)
    return server if server is not None and server.pid and is_held(lock_path(home)) else None


def check_answer(server: KeptServer) -> None:
    """Makes sure that the server answers, and accepts the password.

    Raises:
        PrefectServerError: It does not.
    """
    where = f"{server.api}, process {server.pid}"
    login = b64encode(server.auth_string.encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/api/admin/version", headers={"Authorization": f"Basic {login}"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise PrefectServerError(
            f"the kept Prefect server gives no answer within {ANSWER_SECONDS:.0f} s"
            if isinstance(error, TimeoutError)
            else f"the kept Prefect server gives no answer: {error or type(error).__name__}",
            where=where,
            next_step="Stop it with `vertex-training local stop`, and try again",
        ) from error
    finally:
        connection.close()
    if status != 200:
        raise PrefectServerError(
            "the kept Prefect server refuses its own password" if status == 401 else f"it answers with HTTP {status}",
            where=where,
            next_step="Stop it with `vertex-training local stop`, and try again",
        )


def stop(home: Home) -> bool:
    """Stops the server; its database stays. A server that does not end in time is killed, which loses nothing.

    Returns:
        False if no server runs.

    Raises:
        PrefectServerError: It belongs to another user.
    """
    server = find(home)
    if server is None:
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(server.pid, number)
        except ProcessLookupError:
            return True
        except PermissionError as error:
            raise PrefectServerError(
                "the Prefect server belongs to another user",
                where=f"process {server.pid}",
                next_step="Set VERTEX_TRAINING_HOME to a folder of yours",
            ) from error
        if _ended(home):
            return True
    raise PrefectServerError("the Prefect server does not end", where=f"process {server.pid}", next_step="Kill it")


def _ended(home: Home) -> bool:
    deadline = time.monotonic() + _STOP_SECONDS
    while is_held(lock_path(home)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _is_outdated(server: KeptServer) -> bool:
    return Version(server.prefect) < Version(version("prefect"))


def _start(home: Home, port: int | None) -> KeptServer:
    stopped_path(home).unlink(missing_ok=True)
    log = log_path(home)
    if log.exists() and log.stat().st_size > _LARGEST_LOG:
        log.replace(log.with_suffix(".log.1"))
    # Nothing that is set for other Prefect programs may lead this server to another database.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    # More arenas would only keep memory that the server's threads no longer use.
    variables |= {"MALLOC_ARENA_MAX": "2"}
    result = start_detached(
        f"{__package__}.server_process",
        {"home": str(home.root), "port": port},
        log,
        variables=variables,
        wait=START_SECONDS,
    )
    server = find(home) if result == READY else None
    if server is None:
        raise reported_error(result, PrefectServerError) or PrefectServerError(
            "the Prefect server can't be started: it ended, or is not ready in time",
            where=log,
            next_step="Read the end of that file, or give --temporary-server",
        )
    return server
