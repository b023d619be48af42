"""A local service in the test's process, whose jobs end when the test says so."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import server
from prefect_vertex_training.local_vertex.api import schema as schemas
from prefect_vertex_training.local_vertex.client import open_channel
from prefect_vertex_training.local_vertex.endpoint import LocalService, Options
from prefect_vertex_training.local_vertex.faults import Faults
from prefect_vertex_training.local_vertex.store.store import Store

IMAGE = "oci:/images:demo@sha256:" + "0" * 64


@dataclass
class ScriptedRunner:
    """Runs nothing: jobs stay PENDING until the test ends them, or end at once by `on_submit`."""

    store: Store
    folder: Path
    faults: Faults
    environment: Any
    cancelled: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    on_submit: Callable[[ScriptedRunner, str], None] = lambda runner, job_id: None

    @property
    def buckets(self) -> Path:
        """Where buckets would lie."""
        return self.folder / "buckets"

    def start(self) -> None:
        """Has nothing to find again."""

    def stop(self) -> None:
        """Has nothing to end."""

    def submit(self, job_id: str) -> None:
        """Does what the test chose."""
        self.on_submit(self, job_id)

    def cancel(self, job_id: str) -> None:
        """Ends the job at once."""
        self.cancelled.append(job_id)
        self.end(job_id, "JOB_STATE_CANCELLED", 1, "The job was cancelled.")

    def forget(self, job_id: str) -> None:
        """Remembers that it was told."""
        self.forgotten.append(job_id)

    def end(
        self, job_id: str, state: str = "JOB_STATE_SUCCEEDED", code: int | None = None, text: str | None = None
    ) -> None:
        """Lets a job run and end."""
        self.store.transition(job_id, "JOB_STATE_RUNNING", expected=["JOB_STATE_PENDING"], start_time=time.time())
        self.store.transition(job_id, state, error_code=code, error_message=text)


@dataclass
class Local:
    """A service in this process: how to reach it, and what runs its jobs."""

    service: LocalService
    runner: ScriptedRunner
    home: Home
    stack: ExitStack

    @property
    def store(self) -> Store:
        """What the service remembers."""
        return self.runner.store

    @property
    def parent(self) -> str:
        """What jobs are created in."""
        return self.service.parent

    def channel(self, *, tcp: bool = False) -> Any:
        """A channel, closed after the test."""
        return self.stack.enter_context(open_channel(self.service, tcp=tcp))

    def jobs(self, *, tcp: bool = False) -> Any:
        """Google's own client."""
        from google.cloud.aiplatform_v1 import JobServiceClient
        from google.cloud.aiplatform_v1.services.job_service.transports import JobServiceGrpcTransport

        return JobServiceClient(transport=JobServiceGrpcTransport(channel=self.channel(tcp=tcp)))

    def logs(self) -> Any:
        """Google's own client for lines."""
        from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client
        from google.cloud.logging_v2.services.logging_service_v2.transports import LoggingServiceV2GrpcTransport

        return LoggingServiceV2Client(transport=LoggingServiceV2GrpcTransport(channel=self.channel()))


@pytest.fixture(scope="session")
def schema_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The API's messages, derived once."""
    cache = tmp_path_factory.mktemp("schema")
    schemas.load(cache)
    return cache


@pytest.fixture
def local_home(tmp_path: Path, schema_cache: Path) -> Home:
    """A fresh home folder that has the API's messages already."""
    home = Home(tmp_path / "h")
    shutil.copytree(schema_cache, home.cache, dirs_exist_ok=True)
    return home


@pytest.fixture
def start_local(local_home: Home) -> Iterator[Callable[..., Local]]:
    """Starts services in this process, with the options given; all are ended after the test."""
    with ExitStack() as stack:

        def start(**options: Any) -> Local:
            runners: list[ScriptedRunner] = []

            def runner(store: Store, folder: Path, faults: Faults, *, environment: Any) -> ScriptedRunner:
                runners.append(ScriptedRunner(store, folder, faults, environment))
                return runners[0]

            chosen = Options(home=str(local_home.root), **options)
            service = stack.enter_context(server.serving(chosen, threading.Event(), make_executor=runner))
            return Local(service, runners[0], local_home, stack)

        yield start


@pytest.fixture
def local(start_local: Callable[..., Local]) -> Local:
    """A service on a unix socket."""
    return start_local()


@pytest.fixture
def job() -> dict[str, Any]:
    """The smallest job that is accepted, as the client's plain dict."""
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
