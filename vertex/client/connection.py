"""A connection to one Vertex AI service, in the cloud or on this machine: Google's clients, opened on first use.

The local service may stop at any moment. `reset` then drops the clients; the next call starts the service again, and
finds the same jobs.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from ...core.home import Home
from .call_context import CallContext
from .endpoints import Endpoint, GoogleEndpoint, LocalEndpoint, is_plain, local_vertex_endpoint

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.cloud.aiplatform_v1 import JobServiceClient
    from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client

    from .storage import ModelStore


@dataclass(frozen=True, slots=True)
class Pace:
    """Polling intervals and time limits, all in seconds.

    Attributes:
        settle: The settle window: after it, a job that still does not appear in lists was not created.
        poll: Interval between reads of a job's state, at first; up to four times as long for a long job.
        list_page: Minimum time for one page of a job list: 600 reads a minute are allowed, and watching many jobs uses
            less than a tenth of them.
        log_poll: Interval between reads of the log.
        log_page: Minimum time for one page of the log: Cloud Logging allows a project 60 requests a minute.
        log_overlap: How far each read of the log goes back before the newest line: lines arrive out of order.
        log_drain: How long to wait for further lines after a job's end.
        patience: How long calls may go unanswered before a watch gives up.
        backoff: The longest wait between attempts of a call without an answer.
        deadline: Time limit of one call.
    """

    settle: float
    poll: float
    log_poll: float
    log_page: float
    log_overlap: float
    log_drain: float
    patience: float
    deadline: float = 30.0
    backoff: float = 20.0
    list_page: float = 0.0


CLOUD = Pace(
    settle=45, poll=5, list_page=1.25, log_poll=5, log_page=2, log_overlap=10, log_drain=15, patience=600, backoff=20
)
LOCAL = Pace(settle=1, poll=0.05, log_poll=0.2, log_page=0, log_overlap=1, log_drain=0, patience=30)


class Connection:
    """One Vertex AI service in one project and region: its clients and its pace. Threads may share it.

    Args:
        open_endpoint: Finds the service's endpoint; called on first use, and again after `reset`.
        pace: Polling intervals and time limits.

    Attributes:
        jobs_in_one: How many jobs one create may make: 1, but for a tuning job, which has trials.
    """

    def __init__(self, open_endpoint: Callable[[], Endpoint], pace: Pace) -> None:
        self.pace = pace
        self.jobs_in_one = 1
        self._open_endpoint = open_endpoint
        self._cached: dict[str, Any] = {}
        self._lock = threading.RLock()

    @classmethod
    def local(cls, home: Home | None = None, *, pace: Pace = LOCAL, region: str = "", bucket: str = "") -> Connection:
        """Connects to local_vertex on this machine; starts it if necessary.

        Args:
            home: The home folder. Default: `VERTEX_TRAINING_HOME`.
            pace: Polling intervals and time limits.
            region: Region of the jobs. Default: the service's own.
            bucket: Name of the bucket for output. Default: the service's own.

        Raises:
            LocalServiceError: It can't be started.
        """
        chosen = home or Home.default()
        connection = cls(lambda: local_vertex_endpoint(chosen, region, bucket), pace)
        _ = connection.endpoint
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
        settle: float | None = None,
        backoff: float | None = None,
    ) -> Connection:
        """Connects to Vertex AI in the cloud, or to another server with the same API.

        Args:
            project: The project's id.
            region: As "europe-west4".
            bucket: Name of the bucket for output; it must be in the same region.
            credentials: Google credentials. Default: application default credentials.
            endpoint: The API's address. Default: the region's own. Connections to `unix:/path`, `http://host:port` and
                addresses of this machine use plain text without credentials; all others use TLS.
            token: Access token for a server on this machine.
            pace: Polling intervals and time limits. Default: `CLOUD`, or `LOCAL` for addresses of this machine.
            settle: Replaces the pace's settle window.
            backoff: Replaces the pace's longest wait between attempts.
        """
        plain = endpoint is not None and is_plain(endpoint)
        if plain:
            target = str(endpoint).removeprefix("http://").rstrip("/")
            chosen: Endpoint = LocalEndpoint(project, region, bucket, target, token)
        else:
            chosen = GoogleEndpoint(project, region, bucket, credentials, endpoint)
        pace = pace or (LOCAL if plain else CLOUD)
        pace = replace(
            pace,
            settle=pace.settle if settle is None else settle,
            backoff=pace.backoff if backoff is None else backoff,
        )
        return cls(lambda: chosen, pace)

    @property
    def endpoint(self) -> Endpoint:
        """The service's endpoint; starts the local service if necessary."""
        return self._once("endpoint", self._open_endpoint)

    @property
    def jobs(self) -> JobServiceClient:
        """Google's client for custom jobs, over gRPC."""
        return self._once("jobs", self.endpoint.jobs)

    @property
    def logs(self) -> LoggingServiceV2Client:
        """Google's client for the jobs' log, over gRPC."""
        return self._once("logs", self.endpoint.logs)

    @property
    def models(self) -> ModelStore:
        """Access to the buckets that jobs write to."""
        return self._once("models", lambda: self.endpoint.models(self.context))

    @property
    def project(self) -> str:
        """The project's id."""
        return self.endpoint.project

    @property
    def region(self) -> str:
        """As "europe-west4"."""
        return self.endpoint.region

    @property
    def bucket(self) -> str:
        """Name of the bucket for output."""
        return self.endpoint.bucket

    @property
    def identity(self) -> tuple[str, ...]:
        """Equal for connections to the same service, project and region with the same account."""
        endpoint = self.endpoint
        return (endpoint.address, endpoint.project, endpoint.region, endpoint.account)

    @property
    def parent(self) -> str:
        """The parent resource of jobs: `projects/PROJECT/locations/REGION`."""
        return f"projects/{self.project}/locations/{self.region}"

    @property
    def settle(self) -> float:
        """The settle window, seconds: a new job may be missing from lists for that long."""
        return self.pace.settle

    @property
    def poll(self) -> float:
        """Seconds between reads of a job's state."""
        return self.pace.poll

    def context(self, action: str, resource: str) -> CallContext:
        """Context of a call on this connection, for error messages."""
        end = self.endpoint
        return CallContext(action, resource, end.project, end.region, end.account, end.local)

    def console(self, name: str) -> str:
        """Address of a job's page in the Google Cloud console; empty for local_vertex."""
        if self.endpoint.local:
            return ""
        _, _, job = name.rpartition("/")
        base = "https://console.cloud.google.com/vertex-ai/locations"
        return f"{base}/{region_of(name) or self.region}/training/{job}?project={self.project}"

    def within(self, seconds: float) -> Self:
        """A copy with the same clients whose calls and waits all end within `seconds`."""
        limited = copy.copy(self)
        pace = self.pace
        limited.pace = replace(
            pace,
            deadline=min(pace.deadline, seconds / 4),
            patience=min(pace.patience, seconds / 2),
            settle=min(pace.settle, seconds / 2),
            backoff=min(pace.backoff, seconds / 10),
        )
        return limited

    def cancel_command(self, name: str) -> str:
        """The shell command that cancels a job."""
        if self.endpoint.local:
            return "vertex-training orphans --cancel"
        job = name.rpartition("/")[2]
        region = region_of(name) or self.region
        return f"gcloud ai custom-jobs cancel {job} --project={self.project} --region={region}"

    def reset(self) -> None:
        """Drops the clients of a local service after a call without an answer; the next call opens new ones.

        They are not closed, since another thread may be using them. A channel closes with its last reference.
        """
        if self._cached.get("endpoint") and self.endpoint.local:
            with self._lock:
                self._cached.clear()

    def _once(self, name: str, make: Callable[[], Any]) -> Any:  # noqa: ANN401 - each property narrows it
        with self._lock:
            if name not in self._cached:
                self._cached[name] = make()
            return self._cached[name]


def region_of(name: str) -> str:
    """The region in a job's full name; empty for a text of another form."""
    parts = name.split("/")
    return parts[3] if len(parts) == 6 and parts[2] == "locations" else ""
