"""A service in the test's process, with a runner that ends jobs when the test asks for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fixtures.google.schema_cache import with_schema
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import server
from prefect_vertex_training.local_vertex.client import open_channel
from prefect_vertex_training.local_vertex.endpoint import LocalService, Options
from prefect_vertex_training.local_vertex.faults import Faults
from prefect_vertex_training.local_vertex.location import Location
from prefect_vertex_training.local_vertex.store.store import Store

IMAGE = "oci:/images:demo@sha256:" + "0" * 64


@dataclass
class ScriptedRunner:
    """Runs nothing: jobs stay PENDING until the test, or `on_submit`, ends them."""

    store: Store
    folder: Path
    faults: Faults
    location: Location
    cancelled: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    on_submit: Callable[[ScriptedRunner, str], None] = lambda runner, job_id: None

    @property
    def buckets(self) -> Path:
        """The folder for buckets."""
        return self.folder / "buckets"

    def start(self) -> None:
        """Does nothing: there are no jobs to continue."""

    def stop(self) -> None:
        """Does nothing."""

    def submit(self, job_id: str) -> None:
        """Calls the test's function."""
        self.on_submit(self, job_id)

    def cancel(self, job_id: str) -> None:
        """Ends the job at once."""
        self.cancelled.append(job_id)
        self.end(job_id, "JOB_STATE_CANCELLED", 1, "The job was cancelled.")

    def forget(self, job_id: str) -> None:
        """Records the call."""
        self.forgotten.append(job_id)

    def end(
        self, job_id: str, state: str = "JOB_STATE_SUCCEEDED", code: int | None = None, text: str | None = None
    ) -> None:
        """Moves a job to RUNNING and then to a terminal state."""
        self.store.transition(job_id, "JOB_STATE_RUNNING", expected=["JOB_STATE_PENDING"], start_time=time.time())
        self.store.transition(job_id, state, error_code=code, error_message=text)


@dataclass
class Local:
    """A service in this process, and what runs its jobs."""

    service: LocalService
    runner: ScriptedRunner
    home: Home
    stack: ExitStack

    @property
    def store(self) -> Store:
        """The service's store."""
        return self.runner.store

    @property
    def parent(self) -> str:
        """The parent of all jobs."""
        return self.service.parent

    def channel(self, *, tcp: bool = False) -> Any:
        """A gRPC channel, closed after the test."""
        return self.stack.enter_context(open_channel(self.service, tcp=tcp))

    def jobs(self, *, tcp: bool = False) -> Any:
        """Google's client for jobs."""
        from google.cloud.aiplatform_v1 import JobServiceClient
        from google.cloud.aiplatform_v1.services.job_service.transports import JobServiceGrpcTransport

        return JobServiceClient(transport=JobServiceGrpcTransport(channel=self.channel(tcp=tcp)))

    def logs(self) -> Any:
        """Google's client for log entries."""
        from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client
        from google.cloud.logging_v2.services.logging_service_v2.transports import LoggingServiceV2GrpcTransport

        return LoggingServiceV2Client(transport=LoggingServiceV2GrpcTransport(channel=self.channel()))


@pytest.fixture
def local_home(tmp_path: Path, schema_cache: Path) -> Home:
    """A new home folder with the API's messages in its cache."""
    return with_schema(Home(tmp_path / "h"), schema_cache)


@pytest.fixture
def start_local(local_home: Home) -> Iterator[Callable[..., Local]]:
    """A function that starts services in this process, with options; all are stopped after the test."""
    with ExitStack() as stack:

        def start(**options: Any) -> Local:
            runners: list[ScriptedRunner] = []

            def create_runner(store: Store, folder: Path, faults: Faults, *, location: Location) -> ScriptedRunner:
                runners.append(ScriptedRunner(store, folder, faults, location))
                return runners[0]

            chosen = Options(home=str(local_home.root), **options)
            service = stack.enter_context(server.serving(chosen, threading.Event(), create_runner=create_runner))
            return Local(service, runners[0], local_home, stack)

        yield start


@pytest.fixture
def local(start_local: Callable[..., Local]) -> Local:
    """A service on a unix socket."""
    return start_local()


@pytest.fixture
def job() -> dict[str, Any]:
    """The smallest valid job, as a dict for the client."""
    return {
        "display_name": "demo",
        "job_spec": {
            "worker_pool_specs": [
                {
                    "replica_count": 1,
                    "machine_spec": {"machine_type": "n1-standard-4"},
                    "container_spec": {"image_uri": IMAGE},
                }
            ]
        },
    }
