"""Proxy, metadata server and certificates of a running service; started only for `local start --as-cloud`."""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from ...core.atomic_files import write_atomic
from ..faults import Faults
from ..storage import storage_service
from .certificates import ensure
from .hosts import Address, Hosts
from .identity import Identity
from .identity_servers import IdentityServers
from .project_apis import ProjectApis
from .project_resources import ProjectResources
from .proxy import Proxy, Targets

_STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Cloud:
    """How clients reach it.

    Attributes:
        proxy: For https_proxy, `http://127.0.0.1:PORT`.
        metadata: For GCE_METADATA_HOST, `127.0.0.1:PORT`.
        authorities: The file with the certificates that clients trust.
        token_file: The file with the access token, for gcloud.
    """

    proxy: str
    metadata: str
    authorities: str
    token_file: str


class CloudServer:
    """Google's hosts on this machine.

    Args:
        folder: For certificates and token; only its owner may enter it.
        socket: The unix socket of the identity hosts.
        identity: The account that programs run as.
        faults: The fault injection.
        hosts: The hosts that are served.
        passes: Whether connections to other hosts are passed on.
    """

    def __init__(
        self, folder: Path, socket: Path, identity: Identity, faults: Faults, hosts: Hosts, *, passes: bool
    ) -> None:
        self._folder = folder
        self._socket = socket
        self._identity = identity
        resources = ProjectResources(folder / "project_resources.json")
        self._apis = ProjectApis(resources, faults, identity.locations)
        self._hosts = hosts
        self._passes = passes
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._proxy: Proxy | None = None
        self._identity_servers: IdentityServers | None = None

    def region_of(self, peer: str) -> str:
        """The region of the endpoint that a caller of the gRPC port used; empty if it didn't come through the proxy."""
        return self._proxy.region_of(peer) if self._proxy else ""

    def start(self, grpc: Address, rest: Address) -> Cloud:
        """Starts everything.

        Args:
            grpc: The service's gRPC port.
            rest: Its REST port.

        Raises:
            StorageError: The folder can't be written.
        """
        certificates = ensure(self._folder, self._hosts.names)
        token_file = self._folder / "token"
        write_atomic(token_file, self._identity.token)
        self._identity_servers = IdentityServers(self._identity, self._apis, self._socket)
        self._identity_servers.start()
        targets = Targets(grpc, rest, str(self._socket), self._storage)
        upstream = os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY") or ""
        self._proxy = Proxy(self._hosts, targets, certificates, passes=self._passes, upstream=upstream)
        self._thread.start()
        port = asyncio.run_coroutine_threadsafe(self._proxy.listen(), self._loop).result()
        return Cloud(
            proxy=f"http://127.0.0.1:{port}",
            metadata=self._identity_servers.metadata,
            authorities=str(certificates.bundle),
            token_file=str(token_file),
        )

    def _storage(self) -> tuple[Address, str]:
        """The storage server of this home, which is started if necessary."""
        here = self._identity.locations.default
        service = storage_service.ensure_running(
            self._folder.parent, project_number=here.project_number, region=here.region
        )
        return Address(storage_service.LOOPBACK, service.port), f"/{service.secret}"

    def stop(self) -> None:
        """Stops everything."""
        if self._identity_servers is not None:
            self._identity_servers.stop()
        if self._proxy is not None and self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._proxy.close(), self._loop).result(_STOP_SECONDS)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_STOP_SECONDS)
