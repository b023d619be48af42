"""The train flow with the docker builder: a Docker engine and a registry with a password."""

from __future__ import annotations

import json
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from uuid import uuid4

import pytest
from fixtures.images.base_image import PythonBase, push_base_with_user
from fixtures.images.engine import is_own, remove_tags, unused_name
from fixtures.images.faulty_proxy import Fault, faulty_proxy
from fixtures.images.registry_server import RegistryServer
from fixtures.projects.train_flow import SCRIPT
from prefect import flow
from prefect_docker.credentials import DockerRegistryCredentials
from prefect_vertex_training.blocks.registry import ContainerRegistry
from prefect_vertex_training.core.errors import ProjectError, RegistryDenied, RegistryError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.flows.step_runner import Steps
from prefect_vertex_training.flows.train import train
from prefect_vertex_training.images.oci.image_types import BuiltImage
from prefect_vertex_training.project.snapshot import Project
from prefect_vertex_training.tasks.build import build
from prefect_vertex_training.tasks.freeze import freeze
from prefect_vertex_training.tasks.image_plan import plan_image
from prefect_vertex_training.tasks.push import push

pytestmark = [pytest.mark.prefect, pytest.mark.docker, pytest.mark.registry]


@flow(name="image")
def make_image(
    project: Path, registry: ContainerRegistry | None, builder: str = "auto"
) -> tuple[BuiltImage, dict[str, str]]:
    """Steps freeze, build and push; returns the image and each step's final state."""
    home = Home.default()
    snapshot = Project.open(project, home)
    steps = Steps()
    lock = steps.run(freeze, snapshot, False)
    plan = cache(partial(plan_image, snapshot, lock, registry=registry, builder=builder, home=home))  # pyright: ignore[reportArgumentType]
    image = steps.run(push, plan, steps.run(build, plan))
    return image, {report.name: report.state for report in steps.reports}


def block(server: RegistryServer, host: str | None = None, password: str | None = None) -> ContainerRegistry:
    """A ContainerRegistry block for the test's registry."""
    host = host or server.host
    credentials = DockerRegistryCredentials(
        username=server.username, password=password or server.password, registry_url=host
    )
    return ContainerRegistry(host=host, project="team", credentials=credentials)


@pytest.fixture
def own(project: Path, docker_base: str) -> Path:
    """The tiny project with a Dockerfile of its own, and a name that no other test uses."""
    named = project.parent / unused_name()
    project.rename(named)
    text = f'FROM {docker_base}\nWORKDIR /app\nCOPY train.py .\nENTRYPOINT ["python3", "train.py"]\n'
    (named / "Dockerfile").write_text(text)
    return named


@pytest.fixture
def fresh_machine(docker_engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes this machine a new one: an empty home, and no images of a name in the engine."""

    def forget(name: str) -> None:
        monkeypatch.setenv("VERTEX_TRAINING_HOME", str(tmp_path / f"home-{uuid4().hex}"))
        remove_tags(docker_engine, lambda tag: name in tag)

    return forget


@pytest.fixture(autouse=True)
def remove_tagged_images(docker_engine) -> Iterator[None]:
    """Removes the images that these tests tag."""
    yield
    remove_tags(docker_engine, is_own)


def test_built_pushed_confirmed(
    home: Home, own: Path, docker_registry: RegistryServer, docker_engine, fresh_machine
) -> None:
    """Cached while the registry has the image, also on a new machine; deleted there, it is built again."""
    registry = block(docker_registry)
    repository = f"team/{own.name}"

    first, states = make_image(own, registry)

    assert states["build"] == states["push"] == "Completed"
    assert first.reference == f"{docker_registry.host}/{repository}@{first.digest}"
    assert docker_registry.digest(repository, "latest") == first.digest
    assert [tag for tag in docker_registry.tags(repository) if tag.startswith("fp-")]
    out = docker_engine.containers.run(
        first.reference, ["--epochs", "7"], environment={"AIP_MODEL_DIR": "/tmp/m"}, remove=True
    )
    assert out == b"trained 7\n"

    second, states = make_image(own, registry)
    assert states["build"] == states["push"] == "Cached"
    assert second.reference == first.reference

    fresh_machine(own.name)
    third, states = make_image(own, registry)
    assert states["build"] == states["push"] == "Cached"
    assert third.reference == first.reference

    docker_registry.delete(repository, first.digest)
    fourth, states = make_image(own, registry)
    assert states["build"] == states["push"] == "Completed"
    assert docker_registry.digest(repository, "latest") == fourth.digest


def test_what_changes_the_image(
    home: Home, own: Path, docker_registry: RegistryServer, docker_engine, docker_base
) -> None:
    """A changed line, a changed Dockerfile and another base image give another image; nothing else does."""
    registry = block(docker_registry)
    moving = f"{docker_base.rpartition(':')[0]}-{uuid4().hex[:8]}"
    docker_engine.images.get(docker_base).tag(moving, "1")
    auth = {"username": docker_registry.username, "password": docker_registry.password}
    docker_engine.images.push(moving, tag="1", auth_config=auth)
    dockerfile = (own / "Dockerfile").read_text().replace(docker_base, f"{moving}:1")
    (own / "Dockerfile").write_text(dockerfile)

    first, _ = make_image(own, registry)
    (own / "notes.tmp").touch()
    (own / "train.py").write_text((own / "train.py").read_text() + "\n# edited\n")
    edited, _ = make_image(own, registry)
    (own / "Dockerfile").write_text(dockerfile + "ENV MORE=1\n")
    changed, _ = make_image(own, registry)

    assert len({first.digest, edited.digest, changed.digest}) == 3

    # Another base is pushed under the same tag, and the hour is over in which a tag isn't resolved again.
    built, _ = docker_engine.images.build(fileobj=_dockerfile(f"FROM {docker_base}\nENV NEWER=1\n"), rm=True)
    built.tag(moving, "1")
    docker_engine.images.push(moving, tag="1", auth_config=auth)
    docker_engine.images.get(docker_base).tag(moving, "1")  # this machine still has the old one
    shutil.rmtree(home.cache / "bases")
    rebased, states = make_image(own, registry)

    assert states["build"] == "Completed"
    assert rebased.digest != changed.digest
    assert "NEWER=1" in docker_engine.images.get(rebased.reference).attrs["Config"]["Env"]


def _dockerfile(text: str):
    import io

    return io.BytesIO(text.encode())


def test_without_a_dockerfile(
    home: Home, project: Path, docker_registry: RegistryServer, docker_engine, docker_base
) -> None:
    """--builder docker renders a Dockerfile for a project that has none; --builder direct needs none."""
    named = project.rename(project.parent / unused_name())
    (named / "pyproject.toml").write_text(f'[tool.vertex-training]\nbase = "{docker_base}"\npython = "3.11"\n')
    registry = block(docker_registry)

    by_docker, states = make_image(named, registry, "docker")
    directly, direct_states = make_image(named, registry, "direct")

    assert states["build"] == direct_states["build"] == "Completed"
    for image in (by_docker, directly):
        auth = {"username": docker_registry.username, "password": docker_registry.password}
        docker_engine.images.pull(image.reference, auth_config=auth)
        out = docker_engine.containers.run(image.reference, environment={"AIP_MODEL_DIR": "/tmp/m"}, remove=True)
        assert out == b"trained 1\n"


def test_without_a_registry(home: Home, own: Path) -> None:
    """The image of a project with a Dockerfile is in this machine's image layout, complete; a second run is Cached."""
    first, states = make_image(own, None)
    second, again = make_image(own, None)

    assert states["build"] == states["push"] == "Completed"
    assert again["build"] == again["push"] == "Cached"
    assert first.reference == second.reference
    shown = subprocess.run(
        ["skopeo", "inspect", "--raw", first.reference.partition("@")[0] + ":latest"], check=True, capture_output=True
    )
    assert b"application/vnd.oci.image.layer.v1.tar+gzip" in shown.stdout


def test_refused(home: Home, own: Path, docker_registry: RegistryServer) -> None:
    """A wrong password stops the run before the build, with the host, the account and the next step."""
    with pytest.raises(RegistryDenied, match=rf"trainer.*{docker_registry.host}.*docker login"):
        make_image(own, block(docker_registry, password="wrong"))


@pytest.mark.parametrize("status", [200, 404])
def test_web_page(home: Home, own: Path, docker_registry: RegistryServer, status: int) -> None:
    """A host that answers everything with a web page stops the run before the build."""
    (own / "Dockerfile").write_text("FROM scratch\nCOPY train.py /\nRUN this would fail\n")
    with faulty_proxy(docker_registry.host) as proxy:
        page = Fault(status=status, headers=(("Content-Type", "text/html"),), body=b"<html>Welcome</html>")
        proxy.choose = lambda *_: page
        with pytest.raises(RegistryError, match=f"answers {status} with a web page, not as a registry"):
            make_image(own, block(docker_registry, host=proxy.host))


def test_burst_of_errors(home: Home, own: Path, docker_registry: RegistryServer) -> None:
    """A push succeeds in spite of 503 responses and cut connections."""
    (own / "Dockerfile").write_text("FROM scratch\nCOPY train.py /\n")
    faults = [Fault(status=503), Fault(cut_answer=20)]
    with faulty_proxy(docker_registry.host) as proxy:
        proxy.choose = lambda method, path, _: faults.pop() if faults and "tiny" in path else None
        image, states = make_image(own, block(docker_registry, host=proxy.host))

    assert not faults
    assert states["push"] == "Completed"
    assert docker_registry.digest(f"team/{own.name}", "latest") == image.digest


OTHER_RUN = """\
import json, runpy, sys
sys.path.insert(0, {tests!r})
module = runpy.run_path({file!r})
registry = module["ContainerRegistry"](host={host!r}, project="team", credentials=module["DockerRegistryCredentials"](
    username={username!r}, password={password!r}, registry_url={host!r}
))
print("ready", flush=True)
input()
image, states = module["make_image"]({project!r}, registry)
print(json.dumps([image.reference, states["push"]]))
"""
"""A flow run in a process of its own, which starts together with the test's own run."""


def test_two_runs_at_once(
    home: Home,
    own: Path,
    docker_registry: RegistryServer,
    docker_base: str,
    prefect_server: str,
    forked: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two flow runs of one project in two processes: one build, one push, the same digest in both."""
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    monkeypatch.setenv("PREFECT_LOCAL_STORAGE_PATH", str(tmp_path / "other-results"))
    word = uuid4().hex  # no layer is cached from an earlier session
    slow = f"FROM {docker_base} AS slow\nRUN sleep 2 && echo {word} > /made\nFROM scratch\nCOPY --from=slow /made /\n"
    (own / "Dockerfile").write_text(slow)
    code = OTHER_RUN.format(
        tests=str(Path(__file__).parents[2]), file=__file__, project=str(own), host=docker_registry.host,
        username=docker_registry.username, password=docker_registry.password,
    )  # fmt: skip
    with subprocess.Popen([*forked, "python", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        answer = ThreadPoolExecutor(1).submit(other.communicate, "go\n", 120)
        image, states = make_image(own, block(docker_registry))
        results = [(image.reference, states["push"]), tuple(json.loads(answer.result()[0]))]

    assert results[0][0] == results[1][0]
    assert sorted(state for _, state in results) == ["Cached", "Completed"]
    tag = next(tag for tag in docker_registry.tags(f"team/{own.name}") if tag.startswith("fp-"))
    log = docker_registry.log.read_text().splitlines()
    assert len([line for line in log if f'"PUT /v2/team/{own.name}/manifests/{tag} ' in line]) == 1


def test_a_dockerfile_of_ones_own_reaches_its_model(
    home: Home, own: Path, docker_base: str, docker_registry: RegistryServer, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """With a registry and without one; the Dockerfile installs what the script needs.

    The flow, the engine and local_vertex use the machine's docker login for the registry.
    """
    auth = b64encode(f"{docker_registry.username}:{docker_registry.password}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {docker_registry.host: {"auth": auth}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (own / "requirements.txt").write_text("joblib\n")
    (own / "train.py").write_text(f"import joblib\n{SCRIPT}joblib.dump(options.epochs, folder / 'model.joblib')\n")
    (own / "Dockerfile").write_text(
        f"FROM {docker_base}\n"
        "WORKDIR /app\n"
        "COPY requirements.txt .\n"
        "RUN python3 -m pip install --no-cache-dir --requirement requirements.txt\n"
        "COPY . .\n"
        'ENTRYPOINT ["python3", "train.py"]\n'
    )

    pushed = train(own, args=["--epochs", "2"], registry=ContainerRegistry(host=docker_registry.host, project="team"))
    local = train(own, args=["--epochs", "2"])

    assert pushed.image.startswith(f"{docker_registry.host}/team/{own.name}@sha256:")
    assert local.image.startswith("oci:")
    for result in (pushed, local):
        assert result.state == "JOB_STATE_SUCCEEDED"
        assert {file["path"] for file in result.files} == {"model.joblib", "model.json"}


@pytest.mark.parametrize("builder", ["docker", "direct"])
def test_a_container_reaches_its_model(
    home: Home, project: Path, docker_base: str, docker_registry: RegistryServer, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, builder: str,
) -> None:  # fmt: skip
    """Without a Dockerfile and a registry, on a base image: the container's user may write to the bucket's mount."""
    auth = b64encode(f"{docker_registry.username}:{docker_registry.password}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {docker_registry.host: {"auth": auth}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    named = project.rename(project.parent / unused_name())
    (named / "pyproject.toml").write_text(f'[tool.vertex-training]\nbase = "{docker_base}"\npython = "3.11"\n')

    result = train(named, args=["--epochs", "4"], builder=builder)

    assert result.state == "JOB_STATE_SUCCEEDED"
    assert json.loads((Path(result.model) / "model.json").read_text()) == {"epochs": 4}


def test_a_base_that_does_not_run_as_root(
    home: Home, project: Path, python_base: PythonBase, docker_registry: RegistryServer, docker_engine: object,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """The run says as whom the job runs, and that user may write beside the script, below it, and the model."""
    named = project.rename(project.parent / unused_name())
    (named / "notes").mkdir()
    (named / "notes/read.txt").write_text("")
    (named / "train.py").write_text(
        "import os, pathlib\nif 'CLOUD_ML_JOB_ID' in os.environ:\n    assert os.getuid() == 1001\n"
        "    pathlib.Path.home().joinpath('.cache').mkdir()\n"
        "pathlib.Path('runs/1').mkdir(parents=True)\npathlib.Path('notes/more.txt').touch()\n"
        f"{(named / 'train.py').read_text()}"
    )
    base = push_base_with_user(docker_registry, python_base, "1001")
    (named / "pyproject.toml").write_text(
        f'[tool.vertex-training]\nbase = "{base}"\npython = "{python_base.python}"\nenv = {{ HOME = "/tmp" }}\n'
    )

    result = train(named, args=["--epochs", "4"], registry=block(docker_registry))

    assert json.loads((Path(result.model) / "model.json").read_text()) == {"epochs": 4}
    assert "the job runs as the base's user 1001" in caplog.text


def test_a_secret_that_only_docker_would_take_along_stops_the_run(
    home: Home, own: Path, docker_registry: RegistryServer
) -> None:
    """`.env` is in a Dockerfile's context unless .dockerignore names it; the run stops before the build."""
    (own / ".env").write_text("TOKEN=1\n")

    with pytest.raises(ProjectError, match=r"\.env looks like a secret \(environment file\).*to \.dockerignore"):
        make_image(own, block(docker_registry))

    (own / ".dockerignore").write_text(".env\n")
    image, _ = make_image(own, block(docker_registry))
    assert image.digest
