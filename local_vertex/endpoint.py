"""Where the local service listens and keeps its files, and what a client needs to reach it."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import LocalServiceError, storage_errors
from ..core.home import Home

BUCKET = "local"


DEFAULT_PROJECT = "local"


DEFAULT_REGION = "us-central1"


# sun_path is 108 bytes on Linux and 104 on macOS, with its final zero.
_MAX_SOCKET_PATH = 100


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
    project: str = DEFAULT_PROJECT
    project_number: str = ""
    region: str = DEFAULT_REGION
    switches: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.project_number:
            digest = int(hashlib.sha256(self.project.encode()).hexdigest(), 16)
            object.__setattr__(self, "project_number", str(10**11 + digest % (9 * 10**11)))


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
    require_own_folder(path.parent)
    return path


def require_own_folder(folder: Path) -> None:
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
