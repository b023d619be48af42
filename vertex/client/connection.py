"""What a step needs to talk to a Vertex AI: Google's clients, made on first use, for the cloud or for this machine.

The local service may be stopped at any moment. A connection then forgets its clients (`lost`); the next call starts the
service again, and the jobs are found where they were.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...core.home import Home
from .call_context import Scene
from .endpoints import GooglePlace, Place, PlainPlace, is_plain, local_place

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.cloud.aiplatform_v1 import JobServiceClient
    from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client

    from .storage import ModelStore


@dataclass(frozen=True, slots=True)
class Pace:
    """How often is looked, and how long is waited; all in seconds.

    Attributes:
        settle: How long a create whose answer was lost, or a job missing from a list, may still turn up.
        poll: Between two looks at a job's state, at first; four times as long for a long job.
        list_page: What one page of a list of jobs takes at least: 600 reads a minute are allowed, and a watcher of
            many jobs stays below a tenth of them.
        log_poll: Between two reads of the log.
        log_page: What one page of the log takes at least: Cloud Logging allows 60 requests a minute and project.
        log_overlap: How far back each read of the log looks again: lines arrive out of order.
        log_drain: How long after the end lines are still waited for.
        patience: How long answers may fail to come before a watcher gives up.
        backoff: The longest wait between two tries of a call that gets no answer.
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
    backoff: float = 20.0
    list_page: float = 0.0


CLOUD = Pace(
    settle=45, poll=5, list_page=1.25, log_poll=5, log_page=2, log_overlap=10, log_drain=15, patience=600, backoff=20
)
LOCAL = Pace(settle=1, poll=0.05, log_poll=0.2, log_page=0, log_overlap=1, log_drain=0, patience=30)


class Connection:
    """One Vertex AI: a project and a region, its clients and its pace. Threads may share it.

    Args:
        open_place: Finds where calls go; called on first use, and again after `lost`.
        pace: How often is looked, and how long is waited.
    """

    def __init__(self, open_place: Callable[[], Place], pace: Pace) -> None:
        self.pace = pace
        self._open_place = open_place
        self._cached: dict[str, Any] = {}
        self._lock = threading.RLock()

    @classmethod
    def local(cls, home: Home | None = None, *, pace: Pace = LOCAL) -> Connection:
        """local_vertex on this machine, started when it doesn't run.

        Raises:
            LocalServiceError: It can't be started.
        """
        chosen = home or Home.default()
        connection = cls(lambda: local_place(chosen), pace)
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
        settle: float | None = None,
        backoff: float | None = None,
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
            settle: Of the pace, when it should be another.
            backoff: Likewise.
        """
        plain = endpoint is not None and is_plain(endpoint)
        if plain:
            target = str(endpoint).removeprefix("http://").rstrip("/")
            place: Place = PlainPlace(project, region, bucket, target, token)
        else:
            place = GooglePlace(project, region, bucket, credentials, endpoint)
        pace = pace or (LOCAL if plain else CLOUD)
        pace = replace(
            pace,
            settle=pace.settle if settle is None else settle,
            backoff=pace.backoff if backoff is None else backoff,
        )
        return cls(lambda: place, pace)

    @property
    def place(self) -> Place:
        """Where calls go; a local service is started here when it doesn't run."""
        return self._once("place", self._open_place)

    @property
    def jobs(self) -> JobServiceClient:
        """Google's client for custom jobs, over gRPC."""
        return self._once("jobs", self.place.jobs)

    @property
    def logs(self) -> LoggingServiceV2Client:
        """Google's client for the jobs' lines, over gRPC."""
        return self._once("logs", self.place.logs)

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
    def identity(self) -> tuple[str, ...]:
        """The same for connections that ask the same service for the same project and region as the same account."""
        place = self.place
        return (place.address, place.project, place.region, place.account)

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

    def within(self, seconds: float) -> Connection:
        """The same clients at a pace for somebody who has only so many seconds: no call and no wait outlasts them."""
        hasty = copy.copy(self)
        pace = self.pace
        hasty.pace = replace(
            pace,
            deadline=min(pace.deadline, seconds / 4),
            patience=min(pace.patience, seconds / 2),
            settle=min(pace.settle, seconds / 2),
            backoff=min(pace.backoff, seconds / 10),
        )
        return hasty

    def cancel_command(self, name: str) -> str:
        """What a person types to cancel a job."""
        if self.place.local:
            return "vertex-training orphans --cancel"
        job = name.rpartition("/")[2]
        return f"gcloud ai custom-jobs cancel {job} --project={self.project} --region={self.region}"

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
