"""Endpoints of the Vertex AI API: Google's, and a server on this machine. Each opens Google's own clients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ...core.background.imports import one_importer
from ...core.errors import VertexError
from ...core.home import Home
from ...core.network.google_login import machine_login
from .call_context import LOG_IN, CallContext

if TYPE_CHECKING:
    import grpc
    from google.auth.credentials import Credentials
    from google.cloud.aiplatform_v1 import JobServiceClient
    from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client

    from .storage import ModelStore


class Endpoint(Protocol):
    """One service that offers the Vertex AI API; opens clients for it."""

    @property
    def project(self) -> str:
        """The project's id."""
        ...

    @property
    def region(self) -> str:
        """As "europe-west4"."""
        ...

    @property
    def bucket(self) -> str:
        """Name of the bucket for output."""
        ...

    @property
    def account(self) -> str:
        """The caller as an IAM member; empty when unknown."""
        ...

    @property
    def local(self) -> bool:
        """Whether the service runs on this machine."""
        ...

    @property
    def address(self) -> str:
        """The API's address."""
        ...

    def jobs(self) -> JobServiceClient:
        """Opens a client for custom jobs."""
        ...

    def logs(self) -> LoggingServiceV2Client:
        """Opens a client for the jobs' log."""
        ...

    def models(self, context: Callable[[str, str], CallContext]) -> ModelStore:
        """Opens access to the jobs' buckets."""
        ...


def is_plain(endpoint: str) -> bool:
    """Whether calls to an address use no TLS and no credentials: only on this machine."""
    host = endpoint.removeprefix("http://").rpartition(":")[0].strip("[]")
    return endpoint.startswith(("unix:", "http://")) or host in {"localhost", "127.0.0.1", "::1"}


def local_vertex_endpoint(home: Home, region: str = "", bucket: str = "") -> Endpoint:
    """The endpoint of local_vertex, which is started if necessary.

    Args:
        home: The home folder.
        region: Region of the jobs; empty for the service's own.
        bucket: Name of the bucket for output; empty for the service's own.

    Raises:
        LocalServiceError: It can't be started, or runs without that region and can't be started again.
    """
    from ...local_vertex.lifecycle import ensure_regions, ensure_running

    service = ensure_regions(home, [region]) if region else ensure_running(home)
    place = region or service.region
    return LocalEndpoint(service.project, place, bucket or service.bucket, service.target, None, service.buckets)


# A local server answers at once or not at all, so reconnecting needs no long back-off.
_OPTIONS = (("grpc.enable_http_proxy", 0), ("grpc.initial_reconnect_backoff_ms", 50))


@dataclass(slots=True)
class LocalEndpoint:
    """A server on this machine: local_vertex, or a test's own server."""

    project: str
    region: str
    bucket: str
    target: str
    token: str | None
    buckets: Path | None = None
    account: str = ""
    local: bool = True

    @property
    def address(self) -> str:
        """See `Endpoint`."""
        return self.target

    def channel(self) -> grpc.Channel:
        """A channel without TLS and without a proxy: gRPC would use http_proxy even for 127.0.0.1.

        The token travels with local channel credentials, which gRPC accepts only for connections within this machine.
        """
        import grpc

        if self.token is None:
            return grpc.insecure_channel(self.target, options=_OPTIONS)
        kinds = grpc.LocalConnectionType
        local = grpc.local_channel_credentials(kinds.UDS if self.target.startswith("unix:") else kinds.LOCAL_TCP)
        token = grpc.access_token_call_credentials(self.token)
        return grpc.secure_channel(self.target, grpc.composite_channel_credentials(local, token), options=_OPTIONS)

    def jobs(self) -> JobServiceClient:
        """See `Endpoint`."""
        with one_importer():
            from google.cloud.aiplatform_v1.services.job_service.client import JobServiceClient
            from google.cloud.aiplatform_v1.services.job_service.transports.grpc import JobServiceGrpcTransport

        return JobServiceClient(transport=JobServiceGrpcTransport(channel=self.channel()))

    def logs(self) -> LoggingServiceV2Client:
        """See `Endpoint`."""
        with one_importer():
            from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client
            from google.cloud.logging_v2.services.logging_service_v2.transports import (
                LoggingServiceV2GrpcTransport,
            )

        return LoggingServiceV2Client(transport=LoggingServiceV2GrpcTransport(channel=self.channel()))

    def models(self, context: Callable[[str, str], CallContext]) -> ModelStore:
        """See `Endpoint`."""
        if self.buckets is not None:
            from .storage import FolderStore

            return FolderStore(self.buckets)
        from google.auth.credentials import AnonymousCredentials

        from .storage import CloudStore

        return CloudStore(self.project, AnonymousCredentials(), context)


_SCOPES: Sequence[str] = ("https://www.googleapis.com/auth/cloud-platform",)


class GoogleEndpoint:
    """Vertex AI in the cloud."""

    local = False

    def __init__(
        self, project: str, region: str, bucket: str, credentials: Credentials | None, endpoint: str | None
    ) -> None:
        self.project = project
        self.region = region
        self.bucket = bucket
        self.endpoint = (endpoint or f"{region}-aiplatform.googleapis.com").removeprefix("https://").rstrip("/")
        self._given = credentials

    @property
    def address(self) -> str:
        """See `Endpoint`."""
        return self.endpoint

    @property
    def account(self) -> str:
        """The caller as an IAM member; empty for a user's own credentials, which do not contain it."""
        email = str(getattr(self._given, "service_account_email", "") or "")
        return f"serviceAccount:{email}" if "@" in email else ""

    def credentials(self) -> Credentials:
        """The given credentials, or this machine's.

        Raises:
            VertexError: There are none.
        """
        import google.auth.exceptions

        if self._given is None:
            try:
                self._given = machine_login(_SCOPES)
            except google.auth.exceptions.DefaultCredentialsError as error:
                raise VertexError(
                    "no Google credentials on this machine",
                    where=f"project {self.project}",
                    next_step=LOG_IN,
                ) from error
        return self._given

    def jobs(self) -> JobServiceClient:
        """See `Endpoint`."""
        with one_importer():
            from google.cloud.aiplatform_v1.services.job_service.client import JobServiceClient

        return JobServiceClient(credentials=self.credentials(), client_options={"api_endpoint": self.endpoint})

    def logs(self) -> LoggingServiceV2Client:
        """See `Endpoint`."""
        with one_importer():
            from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client

        return LoggingServiceV2Client(credentials=self.credentials())

    def models(self, context: Callable[[str, str], CallContext]) -> ModelStore:
        """See `Endpoint`."""
        from .storage import CloudStore

        return CloudStore(self.project, self.credentials(), context)
