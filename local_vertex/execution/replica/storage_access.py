"""How the replicas of jobs reach Cloud Storage on this machine."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ....core.errors import LocalServiceError
from ...location import Location
from ...storage import storage_service
from ...storage.client_environment import make_credentials, storage_variables
from .bucket_folders import make_shared

HOST_NAME = "host.docker.internal"
"""This machine's name in containers."""

_CREDENTIALS = "/run/vertex-training/credentials.json"
_CHECK_SECONDS = 1.0
"""For how long a server that answered, and still holds its lock, counts as running."""

_BUCKET = re.compile(r"(?:gs://|/gcs/)([a-z0-9][a-z0-9._-]*)")


class ContainerStorage(NamedTuple):
    """What a container needs to reach the storage server.

    Attributes:
        variables: Its environment variables.
        binds: Folders or files to bind, by the path on this machine.
        host: What its hosts file has for `HOST_NAME`: an address, or `host-gateway` for what the engine takes for it.
    """

    variables: dict[str, str]
    binds: dict[str, dict[str, str]]
    host: str


class StorageAccess:
    """Starts the storage server for the first job that needs it. Threads may share it.

    Args:
        vertex: The home's folder of local_vertex.
        location: The project and region of the jobs.
    """

    def __init__(self, vertex: Path, location: Location) -> None:
        self._vertex = vertex
        self._location = location
        self._lock = threading.Lock()
        self._found: tuple[storage_service.StorageService, Path] | None = None
        self._checked = 0.0

    def process_variables(self) -> dict[str, str]:
        """The variables of a replica that runs as a process."""
        service, credentials = self._ready()
        return storage_variables(service.url, str(credentials), self._location.project_id)

    def for_container(self, address: str | None) -> ContainerStorage:
        """What a replica needs that runs as a container.

        Args:
            address: This machine's address in the engine's default network, which `host-gateway` stands for; None if
                there is none. Where the engine runs in a virtual machine, it isn't this machine's, and the engine
                forwards what containers send to host.docker.internal.
        """
        service, credentials = self._ready()
        host = "host-gateway"
        if address:
            with contextlib.suppress(LocalServiceError):
                storage_service.listen_on(service, address)
                host = address  # podman 4.3 doesn't know `host-gateway`
        variables = storage_variables(service.url_on(HOST_NAME), _CREDENTIALS, self._location.project_id)
        return ContainerStorage(variables, {str(credentials): {"bind": _CREDENTIALS, "mode": "ro"}}, host)

    def make_buckets(self, texts: Iterable[str]) -> None:
        """Makes the buckets that arguments and variables name: in the cloud they exist."""
        buckets = self._vertex / "buckets"
        for name in {name for text in texts for name in _BUCKET.findall(text)}:
            make_shared(buckets / name, buckets)

    def _ready(self) -> tuple[storage_service.StorageService, Path]:
        with self._lock:
            # To ask the server itself costs as much as the rest of a short job's preparation.
            is_fresh = time.monotonic() - self._checked < _CHECK_SECONDS
            if self._found is None or not is_fresh or not storage_service.is_held(self._found[0].folder):
                service = storage_service.ensure_running(
                    self._vertex, project_number=self._location.project_number, region=self._location.region
                )
                credentials = make_credentials(service.folder, service.url, self._location.project_id)
                self._found, self._checked = (service, credentials), time.monotonic()
            return self._found
