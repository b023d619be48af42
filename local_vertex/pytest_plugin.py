"""A pytest plug-in: the fixture `local_vertex`, one Vertex AI for a session of tests.

It is there wherever this package is installed; a session that doesn't use the fixture starts nothing.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import JobServiceClient

    from .endpoint import LocalService

_PROJECT, _REGION = "local_vertex_project", "local_vertex_region"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Settings in pytest.ini or pyproject.toml."""
    parser.addini(_PROJECT, "The project that local_vertex answers for, by its id.", default="local")
    parser.addini(_REGION, "The default region of local_vertex.", default="us-central1")


@dataclass
class LocalVertex:
    """A running service, in a home of its own.

    Attributes:
        service: How to reach it.
        home: Its home folder; images, jobs and buckets lie in it.
        environment: The whole environment in which programs take this machine for Google's cloud.
    """

    service: LocalService
    home: Path
    environment: dict[str, str]
    _stack: ExitStack = field(repr=False)

    @property
    def project(self) -> str:
        """The project's id."""
        return self.service.project

    @property
    def region(self) -> str:
        """The default region."""
        return self.service.region

    @property
    def parent(self) -> str:
        """The parent of jobs, `projects/ID/locations/REGION`."""
        return self.service.parent

    @property
    def bucket(self) -> str:
        """A bucket that is there, as `gs://NAME`."""
        return f"gs://{self.service.bucket}"

    @property
    def bucket_folder(self) -> Path:
        """The folder of this machine that is that bucket."""
        return self.service.buckets / self.service.bucket

    def jobs(self) -> JobServiceClient:
        """Google's client for jobs, in this process, through the service's own socket."""
        from google.cloud.aiplatform_v1 import JobServiceClient
        from google.cloud.aiplatform_v1.services.job_service.transports import JobServiceGrpcTransport

        from .client import open_channel

        channel = self._stack.enter_context(open_channel(self.service))
        return JobServiceClient(transport=JobServiceGrpcTransport(channel=channel))

    def run(self, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:  # noqa: ANN401
        """Runs a command in that environment.

        Args:
            command: The program and its arguments.
            options: Those of `subprocess.run`. By default its output is captured as text, and a failure is an error.
        """
        chosen: dict[str, Any] = {"capture_output": True, "text": True, "check": True, "stdin": subprocess.DEVNULL}
        environment = {**self.environment, **options.pop("env", {})}
        return subprocess.run(list(command), env=environment, **{**chosen, **options})  # noqa: PLW1510 - see `chosen`

    def set_switches(self, **switches: Any) -> dict[str, Any]:  # noqa: ANN401 - those of `faults.Faults`
        """Changes delays and failures that the service simulates, such as `stock_out=1`; returns all of them.

        Raises:
            LocalServiceError: A name or value is invalid.
        """
        from .client import set_faults

        return set_faults(self.service, switches)


@pytest.fixture(scope="session")
def local_vertex(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalVertex]:
    """Vertex AI on this machine: a service with Google's hosts, a bucket, a client and an environment."""
    from ..core.home import Home
    from . import lifecycle
    from .cloud.client_variables import changed

    home = Home(tmp_path_factory.mktemp("local_vertex"))
    project, region = request.config.getini(_PROJECT), request.config.getini(_REGION)
    with ExitStack() as stack:
        stack.callback(lifecycle.stop, home)
        service = lifecycle.ensure_running(
            home, tcp=True, as_cloud=True, project=project, region=region, regions=("all",)
        )
        yield LocalVertex(service, home.root, changed(service) | {"VERTEX_TRAINING_HOME": str(home.root)}, stack)
