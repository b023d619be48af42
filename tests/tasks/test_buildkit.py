"""Build and push where only a BuildKit daemon can build."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest
from fixtures.images.base_image import PythonBase
from fixtures.images.buildkit_daemon import buildkit, daemon
from fixtures.images.registry_server import RegistryServer
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.images.oci.image_types import ImageRequest
from prefect_vertex_training.images.oci.layout import OciLayout
from prefect_vertex_training.images.oci.reference import Reference
from prefect_vertex_training.images.plan import BaseLookup, plan_docker
from prefect_vertex_training.images.registry.auth import Credentials
from prefect_vertex_training.images.registry.repository import Repository
from prefect_vertex_training.tasks.docker_engine import docker_engine

__all__ = ["buildkit", "daemon"]


def test_the_registry_gets_the_whole_image(
    daemon: str,
    python_base: PythonBase,
    docker_registry: RegistryServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The base's digest, the build, the runtime and the push need no engine; the next run finds the image."""
    building, pushing = (import_module(f"prefect_vertex_training.tasks.{name}") for name in ("build", "push"))
    for name, value in (("BUILDKIT_HOST", daemon), ("DOCKER_HOST", "unix:///nonexistent"), ("CONTAINER_HOST", "")):
        monkeypatch.setenv(name, value)
    home = Home(tmp_path / "home")
    monkeypatch.setenv("VERTEX_TRAINING_HOME", str(home.root))
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text(f'FROM {python_base.name}\nCOPY . /app\nENTRYPOINT ["python3", "/app/train.py"]\n')
    (tmp_path / "train.py").write_text("print('trained')\n")
    (tmp_path / ".dockerignore").write_text("home\n")
    own = Credentials.fixed(docker_registry.username, docker_registry.password)
    plan = plan_docker(
        ImageRequest("own", tmp_path, (), "train.py", "", "3.11", dockerfile=dockerfile, runtime_features=("outputs",)),
        OciLayout(home.images, "own"),
        Repository(Reference.parse(f"{docker_registry.host}/with-buildkit"), credentials=own),
        project_fingerprint="1",
        lock_digest="2",
        lookup=BaseLookup(home.cache, lambda _: own, docker_engine),
    )
    lines: list[str] = []

    image = building._build_docker(plan, lines.append, waited=False)
    pushed = pushing._push_direct(plan, image, lines.append, home)

    found = plan.find_existing()
    assert found is not None
    assert found.digest == pushed.digest == docker_registry.digest("with-buildkit", "latest")
    manifest = plan.target.get_manifest(pushed.digest)
    assert manifest is not None
    with plan.target.open_blob(json.loads(manifest[1])["config"]["digest"]) as body:
        assert json.loads(body.read())["config"]["Entrypoint"][-2:] == ["python3", "/app/train.py"]
    assert [layer.title for layer in pushed.layers][1:] == ["COPY . /app # buildkit", "runtime"]
    assert "no Docker engine answers: building with BUILDKIT_HOST" in lines
