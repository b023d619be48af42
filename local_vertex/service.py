"""Starting, finding and stopping the local service: one for each home folder, outliving whoever started it."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import LocalServiceError, storage_errors
from ..core.home import Home

BUCKET = "local"
_PROJECT = "local"
_REGION = "us-central1"
# sun_path is 108 bytes on Linux and 104 on macOS, with its final zero.
_MAX_SOCKET_PATH = 100
_STOP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class LocalService:
    """A service that runs.

    Attributes:
        target: For gRPC: "unix:/...", a socket that only its owner can reach; needs no token.
        token: What clients over TCP send as `authorization: Bearer TOKEN`; None without TCP.
        rest_url: As "http://127.0.0.1:41234"; None without TCP.
        project: The project's id.
        project_number: What names in answers hold.
        region: The only location that is served.
        bucket: A bucket that is there from the start.
        buckets: The folder whose folders are the buckets.
        pid: Its process.
        tcp_target: For gRPC without TLS, as "127.0.0.1:41235"; None without TCP.
        tls_target: For gRPC with TLS, as "localhost:41236"; None unless asked for.
        tls_certificate: The file with the certificate to trust there.
        started: Seconds since 1970.
    """

    target: str
    token: str | None
    rest_url: str | None
    project: str
    project_number: str
    region: str
    bucket: str
    buckets: Path
    pid: int
    tcp_target: str | None = None
    tls_target: str | None = None
    tls_certificate: str | None = None
    started: float = 0.0

    @property
    def parent(self) -> str:
        """What a job is created in: `projects/ID/locations/REGION`."""
        return f"projects/{self.project}/locations/{self.region}"


@dataclass(frozen=True, slots=True)
class Options:
    """How a service is started.

    Attributes:
        home: The home folder.
        tcp: Also listen on loopback, gRPC and REST, with a token made at this start.
        tls: With `tcp`: a third port, gRPC with TLS and a certificate made at this start.
        project: The project's id.
        project_number: Its number; made from the id when empty.
        region: The location that is served.
        switches: First values, see `Switches`.
    """

    home: str
    tcp: bool = False
    tls: bool = False
    project: str = _PROJECT
    project_number: str = ""
    region: str = _REGION
    switches: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.project_number:
            digest = int(hashlib.sha256(self.project.encode()).hexdigest(), 16)
            object.__setattr__(self, "project_number", str(10**11 + digest % (9 * 10**11)))


def ensure_running(home: Home, **options: Any) -> LocalService:  # noqa: ANN401 - the fields of Options
    """The service of this home; started now as a process of its own when none runs.

    Safe to call from many processes at once: one starts it, all get the same.

    Args:
        home: Where its store lies.
        options: Fields of `Options`, but for the home; heeded by a start only.

    Raises:
        LocalServiceError: It could not be started, or the running one lacks the TCP or TLS that is asked for.
    """
    wanted = Options(home=str(home.root), **options)
    running = find(home)
    if running is None:
        with _starting(home):
            running = find(home) or _start(home, wanted)
    _check_options(running, wanted)
    return running


def find(home: Home) -> LocalService | None:
    """The service that runs on this home, or None."""
    try:
        values = json.loads(record_path(home).read_text())
        service = LocalService(**{**values, "buckets": Path(values["buckets"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return service if is_listening(Path(service.target.removeprefix("unix:"))) else None


def stop(home: Home) -> bool:
    """Ends the service; its jobs go on and are found again by the next one. False when none runs.

    Raises:
        LocalServiceError: It does not end.
    """
    service = find(home)
    if service is None:
        return False
    from .connect import admin

    admin(service, "Stop")
    deadline = time.monotonic() + _STOP_SECONDS
    while time.monotonic() < deadline:
        if not _is_locked(home):
            return True
        time.sleep(0.02)
    raise LocalServiceError(
        f"the service does not end within {_STOP_SECONDS:.0f} s",
        where=f"process {service.pid}",
        next_step=f"Look at {log_path(home)}, then end it with `kill -9 {service.pid}`: no job is lost by that",
    )


def record_path(home: Home) -> Path:
    """Where a running service says how to reach it; for its owner only, for it holds the token."""
    return home.vertex / "service.json"


def store_path(home: Home) -> Path:
    """Jobs, states and lines."""
    return home.vertex / "store.db"


def buckets_path(home: Home) -> Path:
    """The folder whose folders are the buckets; `execution` keeps them there."""
    return home.vertex / "buckets"


def log_path(home: Home) -> Path:
    """What the service itself has to say."""
    return home.vertex / "service.log"


def socket_path(home: Home) -> Path:
    """The unix socket, in a folder that only its owner can enter.

    A socket's path is short by law of the kernel, and gRPC reads it as part of a URI; a home that lies too deep, or
    whose name holds a sign that means something there, gets a folder in the run-time or temporary directory.

    Raises:
        LocalServiceError: That folder belongs to somebody else.
    """
    digest = hashlib.sha256(os.fsencode(home.root)).hexdigest()[:16]
    bases = [os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir(), tempfile.gettempdir(), "/tmp"]  # noqa: S108
    others = [Path(base, f"vertex-training-{os.getuid()}-{digest}") for base in bases]
    paths = [folder / "api.sock" for folder in (home.vertex, *others)]
    fitting = (p for p in paths if len(os.fsencode(p)) <= _MAX_SOCKET_PATH and not set("%?#") & set(str(p)))
    path = next(fitting, paths[-1])
    with storage_errors(path):
        path.parent.mkdir(mode=0o700, exist_ok=True)
    _own(path.parent)
    return path


def _own(folder: Path) -> None:
    """Makes sure that nobody else can enter a folder."""
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != os.getuid():
        raise LocalServiceError(
            "the folder for the service's socket belongs to somebody else",
            where=folder,
            next_step="Set VERTEX_TRAINING_HOME to a folder of yours with a short path",
        )
    if found.st_mode & 0o077:
        folder.chmod(0o700)


def is_listening(path: Path) -> bool:
    """Whether somebody listens on a unix socket: one that a killed service left behind refuses."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _is_locked(home: Home) -> bool:
    import fcntl

    with (home.vertex / "service.lock").open("a+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


@contextmanager
def _starting(home: Home) -> Iterator[None]:
    """One starter at a time."""
    import fcntl

    with storage_errors(home.vertex), (home.vertex / "start.lock").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _start(home: Home, options: Options) -> LocalService:
    _own(home.vertex)
    reader, writer = os.pipe()
    with os.fdopen(reader) as answer, storage_errors(home.vertex), log_path(home).open("ab") as log:
        try:
            # -P: the current folder is the user's, and may hold a module named like one of ours.
            starter = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    f"{__package__}.server",
                    json.dumps(asdict(options)),
                    str(writer),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[writer],
                start_new_session=True,
            )
        finally:
            os.close(writer)
        said = answer.read()
        starter.wait()
    service = find(home) if said == "ok" else None
    if service is None:
        raise _start_error(said, home)
    return service


def _start_error(said: str, home: Home) -> LocalServiceError:
    try:
        return LocalServiceError(**json.loads(said))
    except (ValueError, TypeError):
        return LocalServiceError(
            "the local service ended while it started",
            where=log_path(home),
            next_step="Read the end of that file",
        )


def _check_options(service: LocalService, wanted: Options) -> None:
    lacks = [
        name
        for name, missing in (
            ("TCP", wanted.tcp and service.tcp_target is None),
            ("TLS", wanted.tls and service.tls_target is None),
            (f"project {wanted.project}", wanted.project not in {_PROJECT, service.project}),
            (f"region {wanted.region}", wanted.region not in {_REGION, service.region}),
        )
        if missing
    ]
    if lacks:
        raise LocalServiceError(
            f"the service that runs was started without {' and '.join(lacks)}",
            where=f"process {service.pid}",
            next_step="End it with `vertex-training local stop`, then start it that way: running jobs go on",
        )
