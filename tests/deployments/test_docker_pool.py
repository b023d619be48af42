"""A Docker work pool: a run is a container of an image with git, started by a real worker on a real engine."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from docker import DockerClient
from docker.errors import BuildError
from fixtures.images.base_image import PYTHON, PythonBase, base_folder, push_base
from fixtures.images.registry_server import RegistryServer
from fixtures.prefect_api.worker import Worker, log, until
from fixtures.suite.external_tools import missing
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect_vertex_training.blocks.registry import ContainerRegistry
from prefect_vertex_training.cli.main import main
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.vertex.client.connection import Connection

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(400)]
ROOT = Path(__file__).resolve().parents[2]
PACKAGES = sysconfig.get_path("purelib")


@pytest.fixture
def base(open_registry: RegistryServer) -> PythonBase:
    """The base image, in a registry that asks nobody."""
    return push_base(open_registry, base_folder())


@pytest.fixture
def image(docker_engine: DockerClient, base: PythonBase) -> str:
    """As docs/schedule.md makes it, but for what is mounted instead: to install this package takes a minute."""
    recipe = f"FROM {base.name}\nRUN apt-get update && apt-get install --yes --no-install-recommends git\n"
    name = f"{base.name.rpartition('/')[0]}/with-git:1"  # docker pulls what is called latest
    try:
        built, _ = docker_engine.images.build(
            fileobj=io.BytesIO(recipe.encode()), tag=name, network_mode="host", rm=True
        )
    except BuildError as error:
        missing("docker", f"no image with git: {error}")
    # Stays, so that a later session finds the layer: to install git takes half a minute.
    built.tag("vertex-training-ci/with-git", "1")
    return name


@pytest.fixture
def boxes(prefect_server: str, forked: list[str], tmp_path: Path) -> Iterator[Worker]:
    """A worker of a pool of type docker."""
    pool = f"boxes-{uuid4().hex[:6]}"
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=pool, type="docker"))
    worker = Worker(prefect_server, tmp_path / "boxes.log", forked, pool, "docker")
    worker.start()
    yield worker
    worker.stop()


@pytest.fixture
def repository(project: Path, base: PythonBase) -> str:
    """The project in a git repository, with a base image that this machine has."""
    (project / "pyproject.toml").write_text(f'[tool.vertex-training]\nbase = "{base.name}"\n')
    author = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    for words in (["init", "--quiet"], ["add", "--all"], [*author, "commit", "--quiet", "--message", "begin"]):
        subprocess.run(["git", "-C", project, *words], check=True)
    return project.as_uri()


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason=f"the base image's Python is {PYTHON}")
def test_a_run_in_a_container_goes_all_the_way(
    boxes: Worker, image: str, repository: str, home: Home, project: Path, open_registry: RegistryServer
) -> None:
    """It clones the repository, pushes to the registry, and has a job of the service that runs outside of it."""
    job = Connection.local(home)
    block = f"boxes-{uuid4().hex[:6]}"
    ContainerRegistry(host=open_registry.host, project="team").save(block)
    name = f"boxed-{uuid4().hex[:6]}"
    words = ["deploy", repository, "--name", name, "--work-pool", boxes.pool, "--image", image, "--registry", block]
    with pytest.raises(SystemExit) as stop:
        main([*words, "--", "--epochs=3"])
    assert not stop.value.code

    run = ended(name, mounted(image, home, project))

    assert run.state_name == "Completed", "\n".join([*log(run.id), boxes.log.read_text()[-3000:]])
    (done,) = job.jobs.list_custom_jobs(parent=job.parent)
    spec = done.job_spec.worker_pool_specs[0].container_spec
    assert done.state.name == "JOB_STATE_SUCCEEDED"
    assert spec.image_uri.startswith(f"{open_registry.host}/team/tiny@sha256:")
    assert list(spec.args) == ["--epochs=3"]


def mounted(image: str, home: Home, project: Path) -> dict[str, object]:
    """The pool's job variables for containers that share this machine's network and a few of its folders."""
    packages = f"/usr/local/lib/python{PYTHON}/dist-packages"
    uv = shutil.which("uv", path=Path(sys.executable).parent)
    return {
        "image": image,
        "network_mode": "host",
        "auto_remove": True,
        "command": "python3 -m prefect flow-run execute",
        "volumes": [
            f"{PACKAGES}:{packages}:ro",
            f"{uv}:/usr/local/bin/uv:ro",
            f"{ROOT}:{ROOT}:ro",
            f"{project}:{project}:ro",
            f"{home.root}:{home.root}",
        ],
        "env": {"VERTEX_TRAINING_HOME": str(home.root)},
    }


def ended(name: str, variables: dict[str, object]) -> FlowRun:
    """A run of the deployment, once it has ended."""
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(f"train/{name}").id
        client.update_deployment(deployment, DeploymentUpdate(job_variables=variables))
        run = client.create_flow_run_from_deployment(deployment).id

    def look() -> FlowRun | None:
        with get_client(sync_client=True) as client:
            found = client.read_flow_run(run)
        return found if found.state and found.state.is_final() else None

    return until(look, 300)
