"""Finds, starts and stops the storage server of a home, and says how to reach it.

It is a process of its own: jobs go on when local_vertex stops, and they need their buckets. Its port and its secret
stay the same over restarts, so a job's addresses stay right. Whoever forwards requests for storage.googleapis.com sends
them to `StorageService.url` with the same path, and with `X-Forwarded-Host: storage.googleapis.com`, with which URLs in
answers then begin.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

from ...core.atomic_files import write_atomic
from ...core.errors import LocalServiceError, storage_errors

LOOPBACK = "127.0.0.1"
_CALL_SECONDS = 10.0
_STOP_SECONDS = 10.0


class StorageService(NamedTuple):
    """How to reach the storage server.

    Attributes:
        port: Its port, on loopback and on all addresses that `listen_on` added.
        secret: The first part of every path.
        folder: Where it keeps what is not in the buckets' folders.
    """

    port: int
    secret: str
    folder: Path

    @property
    def url(self) -> str:
        """The endpoint for clients on this machine, for `STORAGE_EMULATOR_HOST`."""
        return self.url_on(LOOPBACK)

    def url_on(self, address: str) -> str:
        """The endpoint for clients that reach this machine by another address."""
        return f"http://{address}:{self.port}/{self.secret}"


def ensure_running(vertex: Path, *, project_number: str = "0", region: str = "us-central1") -> StorageService:
    """The storage server of a home, which is started if necessary; its first requests wait until it is ready.

    Args:
        vertex: The home's folder of local_vertex, which holds the buckets.
        project_number: Of the project that the buckets belong to.
        region: Where buckets lie for which nothing else was said.

    Raises:
        LocalServiceError: Its port is taken by another program.
        StorageError: The disk is full.
    """
    import fcntl

    folder = storage_folder(vertex)
    with storage_errors(folder), (folder / "start.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        while (found := find(vertex)) is not None and not _accepts(found):
            time.sleep(0.02)  # it is ending, or was killed, and still holds its lock
        return found or _start(vertex, folder, project_number, region)


def find(vertex: Path) -> StorageService | None:
    """The running storage server of a home; None if none runs."""
    folder = storage_folder(vertex)
    return _recorded(folder) if is_held(folder) else None


def stop(vertex: Path) -> bool:
    """Ends the storage server, if it runs.

    Returns:
        False if none runs.

    Raises:
        LocalServiceError: It does not end.
    """
    service = find(vertex)
    if service is None:
        return False
    with contextlib.suppress(LocalServiceError):
        call(service, "stop")
    deadline = time.monotonic() + _STOP_SECONDS
    while time.monotonic() < deadline:
        if not is_held(service.folder):
            return True
        time.sleep(0.02)
    raise LocalServiceError(
        f"the storage server does not end within {_STOP_SECONDS:.0f} s",
        where=service.folder,
        next_step=f"Read {log_path(service.folder)}, and end the process",
    )


def listen_on(service: StorageService, address: str) -> str:
    """Lets the server listen on a further address of this machine, for containers; returns the endpoint there.

    Raises:
        LocalServiceError: The address can't be used.
    """
    call(service, f"listen?address={address}")
    return service.url_on(address)


def call(service: StorageService, method: str) -> bytes:
    """Calls one of the server's own methods: stop, listen or status.

    Raises:
        LocalServiceError: It refused, or is gone.
    """
    import urllib.error  # late: their import takes as long as a tenth of local_vertex's start, which rarely needs them
    import urllib.request

    request = urllib.request.Request(f"{service.url}/_storage/{method}", b"", method="POST")  # noqa: S310 - loopback
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_CALL_SECONDS) as answer:
            return answer.read()
    except (OSError, urllib.error.URLError) as error:
        text = error.read().decode(errors="replace") if isinstance(error, urllib.error.HTTPError) else str(error)
        raise LocalServiceError(
            f"the storage server does not do this: {text}", where=service.url_on("127.0.0.1").rpartition("/")[0]
        ) from error


def storage_folder(vertex: Path) -> Path:
    """Where the storage server of a home keeps what is not in the buckets' folders."""
    folder = vertex / "storage"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def log_path(folder: Path) -> Path:
    """The server's log."""
    return folder / "server.log"


def _recorded(folder: Path) -> StorageService | None:
    try:
        values = json.loads((folder / "service.json").read_text())
        return StorageService(int(values["port"]), str(values["secret"]), folder)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_held(folder: Path) -> bool:
    """Whether a server has this folder: it holds a lock from its start to its end."""
    import fcntl

    with (folder / "server.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _accepts(service: StorageService) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, service.port)) == 0


def _start(vertex: Path, folder: Path, project_number: str, region: str) -> StorageService:
    import fcntl

    earlier = _recorded(folder)
    with contextlib.ExitStack() as stack:
        # The new process inherits the lock and the socket: there is no moment in which it runs without them.
        lock = stack.enter_context((folder / "server.lock").open("a+"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        listener = stack.enter_context(_listener(earlier.port if earlier else 0))
        service = StorageService(
            listener.getsockname()[1], earlier.secret if earlier else f"k-{secrets.token_urlsafe(24)}", folder
        )
        write_atomic(folder / "service.json", json.dumps({"port": service.port, "secret": service.secret}))
        (folder / "service.json").chmod(0o600)
        log = stack.enter_context(log_path(folder).open("ab"))
        options = {
            "vertex": str(vertex),
            "secret": service.secret,
            "project_number": project_number,
            "region": region,
            "listener": listener.fileno(),
            "lock": lock.fileno(),
        }
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", f"{__package__}.storage_server", json.dumps(options)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[listener.fileno(), lock.fileno()],
            start_new_session=True,
            cwd="/",
        )
    threading.Thread(target=process.wait, name="storage server", daemon=True).start()
    return service


def _listener(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
    except OSError as error:
        listener.close()
        if port:
            return _listener(0)  # jobs that still have the earlier address can't be helped
        raise LocalServiceError(f"can't listen on loopback: {error.strerror}", where=LOOPBACK) from error
    listener.listen(512)
    return listener
