"""What a step needs to talk to a Vertex AI: Google's clients, made on first use, for the cloud or for this machine.

The local service may be stopped at any moment. A connection then forgets its clients (`lost`); the next call starts the
service again, and the jobs are found where they were.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..core.errors import VertexError
from ..core.home import Home
from .errors import Scene
from .stores import CloudStore, FolderStore, ModelStore

if TYPE_CHECKING:
    import grpc
    from google.auth.credentials import Credentials
    from google.cloud.aiplatform_v1 import JobServiceClient
    from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client


@dataclass(frozen=True, slots=True)
class Pace:
    """How often is looked, and how long is waited; all in seconds.

    Attributes:
        settle: How long a create whose answer was lost, or a job missing from a list, may still turn up.
        poll: Between two looks at a job's state, at first; four times as long for a long job.
        log_poll: Between two reads of the log.
        log_page: What one page of the log takes at least: Cloud Logging allows 60 requests a minute and project.
        log_overlap: How far back each read of the log looks again: lines arrive out of order.
        log_drain: How long after the end lines are still waited for.
        patience: How long answers may fail to come before a watcher gives up.
        deadline: Of one call.
    """

    settle: float
    poll: float
    log_poll: float
    log_page: float
    log_overlap: float
    log_drain: float
    patience: float
    deadline: float = 30.0


CLOUD = Pace(settle=45, poll=5, log_poll=5, log_page=1, log_overlap=10, log_drain=15, patience=600)
LOCAL = Pace(settle=1, poll=0.05, log_poll=0.2, log_page=0, log_overlap=1, log_drain=0, patience=30)


class Place(Protocol):
    """Makes the clients of one Vertex AI."""

    project: str
    region: str
    bucket: str
    account: str
    local: bool

    def jobs(self) -> JobServiceClient:
        """Makes a client for custom jobs."""
        ...

    def logs(self) -> LoggingServiceV2Client:
        """Makes a client for the jobs' lines."""
        ...

    def models(self, scene: Callable[[str, str], Scene]) -> ModelStore:
        """Makes a reader for the jobs' buckets."""
        ...


@dataclass
class Connection:
    """One Vertex AI: a project and a region, its clients and its pace. Threads may share it.

    Attributes:
        place: Makes the clients; called again after `lost`.
        pace: How often is looked.
    """

    open_place: Callable[[], Place]
    pace: Pace
    _cached: dict[str, Any] = field(default_factory=dict, repr=False)
    _lock: Any = field(default_factory=threading.RLock, repr=False)

    @classmethod
    def local(cls, home: Home | None = None, *, pace: Pace = LOCAL) -> Connection:
        """local_vertex on this machine, started when it doesn't run.

        Raises:
            LocalServiceError: It can't be started.
        """
        chosen = home or Home.default()
        connection = cls(lambda: _local_place(chosen), pace)
        _ = connection.place
        return connection

    @classmethod
    def google(
        cls,
        project: str,
        region: str,
        bucket: str,
        credentials: Credentials | None = None,
        endpoint: str | None = None,
        *,
        token: str | None = None,
        pace: Pace | None = None,
    ) -> Connection:
        """Vertex AI in the cloud, or anything that speaks its API.

        Args:
            project: The project's id.
            region: As "europe-west4".
            bucket: Where output goes, by name; in the same region.
            credentials: None for the application default ones.
            endpoint: None for the region's own. `unix:/path`, `http://host:port` and addresses of this machine are
                spoken to in plain text and without credentials; anything else with TLS.
            token: What a server on this machine asks for.
            pace: None for the cloud's, or a quick one on this machine.
        """
        plain = endpoint is not None and _is_plain(endpoint)
        if plain:
            target = str(endpoint).removeprefix("http://").rstrip("/")
            place: Place = _PlainPlace(project, region, bucket, target, token)
        else:
            place = _GooglePlace(project, region, bucket, credentials, endpoint)
        return cls(lambda: place, pace or (LOCAL if plain else CLOUD))

    @property
    def place(self) -> Place:
        """Where calls go; a local service is started here when it doesn't run."""
        return self._once("place", self.open_place)

    @property
    def jobs(self) -> JobServiceClient:
        """Google's client for custom jobs, over gRPC."""
        return self._once("jobs", lambda: self.place.jobs())

    @property
    def logs(self) -> LoggingServiceV2Client:
        """Google's client for the jobs' lines, over gRPC."""
        return self._once("logs", lambda: self.place.logs())

    @property
    def models(self) -> ModelStore:
        """The buckets that jobs write to."""
        return self._once("models", lambda: self.place.models(self.scene))

    @property
    def project(self) -> str:
        """The project's id."""
        return self.place.project

    @property
    def region(self) -> str:
        """As "europe-west4"."""
        return self.place.region

    @property
    def bucket(self) -> str:
        """Where output goes, by name."""
        return self.place.bucket

    @property
    def parent(self) -> str:
        """What jobs are created in: `projects/PROJECT/locations/REGION`."""
        return f"projects/{self.project}/locations/{self.region}"

    @property
    def settle(self) -> float:
        """Seconds in which a job that was created may not be listed yet."""
        return self.pace.settle

    @property
    def poll(self) -> float:
        """Seconds between two looks at a job."""
        return self.pace.poll

    def scene(self, action: str, resource: str) -> Scene:
        """Where a call is made, for an error's message."""
        place = self.place
        return Scene(action, resource, place.project, place.region, place.account, place.local)

    def console(self, name: str) -> str:
        """Where a person looks at a job in a browser; empty for local_vertex."""
        if self.place.local:
            return ""
        _, _, job = name.rpartition("/")
        base = "https://console.cloud.google.com/vertex-ai/locations"
        return f"{base}/{self.region}/training/{job}?project={self.project}"

    def lost(self) -> None:
        """Forgets the clients after a call that got no answer; the next call makes them again.

        They are not closed: another thread may be in the middle of a call. A channel ends with its last reference.
        """
        if self._cached.get("place") and self.place.local:
            with self._lock:
                self._cached.clear()

    def _once(self, name: str, make: Callable[[], Any]) -> Any:  # noqa: ANN401 - each property narrows it
        with self._lock:
            if name not in self._cached:
                self._cached[name] = make()
            return self._cached[name]


def _is_plain(endpoint: str) -> bool:
    host = endpoint.removeprefix("http://").rpartition(":")[0].strip("[]")
    return endpoint.startswith(("unix:", "http://")) or host in {"localhost", "127.0.0.1", "::1"}


def _local_place(home: Home) -> Place:
    from ..local_vertex.service import ensure_running

    service = ensure_running(home)
    return _PlainPlace(
        service.project, service.region, service.bucket, service.target, None, service.buckets
    )


@dataclass(slots=True)
class _PlainPlace:
    """A server on this machine: local_vertex, or a stand-in in a test."""

    project: str
    region: str
    bucket: str
    target: str
    token: str | None
    buckets: Path | None = None
    account: str = ""
    local: bool = True

    def _channel(self) -> grpc.Channel:
        from .channel import plain_channel

        return plain_channel(self.target, self.token)

    def jobs(self) -> JobServiceClient:
        from google.cloud.aiplatform_v1 import JobServiceClient
        from google.cloud.aiplatform_v1.services.job_service.transports import JobServiceGrpcTransport

        return JobServiceClient(transport=JobServiceGrpcTransport(channel=self._channel()))

    def logs(self) -> LoggingServiceV2Client:
        from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client
        from google.cloud.logging_v2.services.logging_service_v2.transports import (
            LoggingServiceV2GrpcTransport,
        )

        return LoggingServiceV2Client(transport=LoggingServiceV2GrpcTransport(channel=self._channel()))

    def models(self, scene: Callable[[str, str], Scene]) -> ModelStore:
        if self.buckets is not None:
            return FolderStore(self.buckets)
        from google.auth.credentials import AnonymousCredentials

        return CloudStore(self.project, AnonymousCredentials(), scene)


_SCOPES: Sequence[str] = ("https://www.googleapis.com/auth/cloud-platform",)


class _GooglePlace:
    """Vertex AI in the cloud."""

    local = False

    def __init__(
        self, project: str, region: str, bucket: str, credentials: Credentials | None, endpoint: str | None
    ) -> None:
        self.project = project
        self.region = region
        self.bucket = bucket
        self.endpoint = (
            (endpoint or f"{region}-aiplatform.googleapis.com").removeprefix("https://").rstrip("/")
        )
        self._given = credentials

    @property
    def account(self) -> str:
        """Who asks, as IAM writes it; empty for a person's own credentials, which don't tell."""
        email = str(getattr(self._given, "service_account_email", "") or "")
        return f"serviceAccount:{email}" if "@" in email else ""

    def _credentials(self) -> Credentials:
        import google.auth
        import google.auth.exceptions

        if self._given is None:
            try:
                self._given, _ = google.auth.default(scopes=_SCOPES)
            except google.auth.exceptions.DefaultCredentialsError as error:
                raise VertexError(
                    "no Google credentials on this machine",
                    where=f"project {self.project}",
                    next_step="Run `gcloud auth application-default login`, or give the VertexAI block a GcpCredentials block",
                ) from error
        return self._given

    def jobs(self) -> JobServiceClient:
        from google.cloud.aiplatform_v1 import JobServiceClient

        return JobServiceClient(
            credentials=self._credentials(), client_options={"api_endpoint": self.endpoint}
        )

    def logs(self) -> LoggingServiceV2Client:
        from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client

        return LoggingServiceV2Client(credentials=self._credentials())

    def models(self, scene: Callable[[str, str], Scene]) -> ModelStore:
        return CloudStore(self.project, self._credentials(), scene)
