"""How to reach the local service, how to start it, and where its files are."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import LocalServiceError, storage_errors
from ..core.home import Home
from ..core.regional.regions import REGIONS
from .location import Locations, project_number

BUCKET = "local"
"""A bucket that every service has."""

DEFAULT_PROJECT = "local"
DEFAULT_REGION = "us-central1"

ADMIN_SERVICE = "prefect_vertex_training.local.Admin"
"""Our own gRPC service beside Google's; its requests and responses are JSON objects."""
SET_FAULTS = "Switches"
"""Method: changes the fault injection and returns all values. Services of earlier versions use the same name."""
LEND_LOGIN = "LendLogin"
"""Method: gives the service a login for the registry of its jobs' images; `vertex.client.lent_login` calls it."""
STOP = "Stop"
"""Method: ends the service."""

# sun_path is 108 bytes on Linux and 104 on macOS, with its final zero.
_MAX_SOCKET_PATH = 100


@dataclass(frozen=True, slots=True)
class LocalService:
    """How to reach a running service.

    Attributes:
        target: gRPC target "unix:/...", a socket that only its owner can use; needs no token.
        token: What clients over TCP send as `authorization: Bearer TOKEN`; None without TCP.
        rest_url: For example "http://127.0.0.1:41234"; None without TCP.
        project: The project's id.
        project_number: The project's number, which resource names in responses contain.
        region: The default region.
        bucket: Name of a bucket that always exists.
        buckets: The folder with one folder for each bucket.
        pid: The process.
        tcp_target: gRPC target without TLS, for example "127.0.0.1:41235"; None without TCP.
        tls_target: gRPC target with TLS, for example "localhost:41236"; None without TLS.
        tls_certificate: The file with the certificate for TLS clients to trust.
        started: When it was started, in seconds since 1970.
        proxy: For https_proxy, `http://127.0.0.1:PORT`; None unless started with `as_cloud`, like the next three.
        metadata: For GCE_METADATA_HOST, `127.0.0.1:PORT`.
        authorities: The file with the certificates that clients trust.
        token_file: The file with the token.
        projects: All projects' ids, where there are several projects or regions.
        regions: All regions, likewise.
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
    proxy: str | None = None
    metadata: str | None = None
    authorities: str | None = None
    token_file: str | None = None
    projects: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()

    @property
    def parent(self) -> str:
        """The parent of all jobs, `projects/ID/locations/REGION`."""
        return f"projects/{self.project}/locations/{self.region}"


ADDED_FIELDS = frozenset(("proxy", "metadata", "authorities", "token_file", "projects", "regions"))
"""Fields of `LocalService` that earlier versions don't know."""


@dataclass(frozen=True, slots=True)
class Options:
    """Options for the start of a service.

    Attributes:
        home: The home folder.
        tcp: Also listen on loopback, with gRPC and REST and a new token.
        tls: With `tcp`: also listen on a third port, with gRPC over TLS and a new certificate.
        project: The default project's id.
        project_number: That project's number; by default derived from the id.
        region: The default region.
        projects: Further projects that are served.
        regions: Further regions that are served; "all" for every region of Google's.
        as_cloud: With `tcp`: also serve Google's hosts, see `cloud.cloud_server`.
        other_hosts: What becomes of connections to other hosts then: "refuse" or "pass".
        hosts: Further hosts, each with the `127.0.0.1:PORT` that serves it.
        faults: Initial values of the fault injection, see `faults.Faults`.
    """

    home: str
    tcp: bool = False
    tls: bool = False
    project: str = DEFAULT_PROJECT
    project_number: str = ""
    region: str = DEFAULT_REGION
    projects: Sequence[str] = ()
    regions: Sequence[str] = ()
    as_cloud: bool = False
    other_hosts: str = "refuse"
    hosts: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.project_number:
            object.__setattr__(self, "project_number", project_number(self.project))

    def locations(self) -> Locations:
        """The projects and regions that are served."""
        numbers = {self.project: self.project_number} | {
            project: project_number(project) for project in self.projects if project != self.project
        }
        regions = [*self.regions, *(REGIONS if "all" in self.regions else ())]
        return Locations(numbers, tuple(dict.fromkeys([self.region, *(name for name in regions if name != "all")])))


def record_path(home: Home) -> Path:
    """The file that says how to reach the running service; only its owner can read it, because it has the token."""
    return home.vertex / "service.json"


def store_path(home: Home) -> Path:
    """The SQLite file with jobs and log entries."""
    return home.vertex / "store.db"


def buckets_path(home: Home) -> Path:
    """The folder with one folder for each bucket; `execution` uses the same."""
    return home.vertex / "buckets"


def lock_path(home: Home) -> Path:
    """The file whose lock a running service holds."""
    return home.vertex / "service.lock"


def log_path(home: Home) -> Path:
    """The log file of the service itself."""
    return home.vertex / "service.log"


def socket_path(home: Home) -> Path:
    """The unix socket, in a folder that only its owner can enter.

    A socket's path is limited to about 100 bytes, and gRPC parses it as part of a URI. If the home's path is too long,
    or has characters with a meaning in URIs, the socket is in a folder of the runtime or temporary directory.

    Raises:
        LocalServiceError: That folder belongs to another user.
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
    """Makes sure that only this user can enter a folder.

    Raises:
        LocalServiceError: The folder belongs to another user, or is a link.
    """
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != os.getuid():
        raise LocalServiceError(
            "the folder for the service's socket belongs to another user",
            where=folder,
            next_step="Set VERTEX_TRAINING_HOME to one of your folders, with a short path",
        )
    if found.st_mode & 0o077:
        folder.chmod(0o700)


def is_listening(path: Path) -> bool:
    """Whether a process listens on a unix socket; after a killed service, the file exists, but none does."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
