"""Jobs whose replicas are containers of a real Docker engine."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from docker.errors import ImageNotFound

PATH = "PATH=/bin"


@pytest.fixture
def system(images: Any, docker_engine: Any) -> Iterator[Any]:
    """Creates images of a tiny system, busybox; they are removed from the engine after the test."""
    busybox = shutil.which("busybox")
    if busybox is None:
        from fixtures.external_tools import missing

        missing("docker", "no program for a tiny image: apt-get install busybox-static")
    program = Path(busybox).read_bytes()
    made: list[str] = []

    def image(script: str = "", **config: Any) -> str:
        names = ("sh", "echo", "sleep", "cat", "pwd")
        layer = [("bin/", None), ("bin/busybox", program), *_links(names)]
        folders = [("tmp/", None), ("work/", None)]
        entry = {"Entrypoint": ["/bin/sh", "-c", script, "sh"]} if script else {}
        made.append(images.image([layer, folders], base="sha256:1", Env=[PATH], **{**entry, **config}))
        return made[-1]

    yield image
    for reference in made:
        name = f"vertex-training-layout:{reference.rpartition(':')[2]}"
        for found in docker_engine.images.list(name=name):
            docker_engine.images.remove(found.id, force=True)


@pytest.fixture
def python_image(docker_engine: Any, open_registry: Any, python_base: Any) -> Iterator[str]:
    """Debian with Python in a registry without a password, by digest."""
    name = f"{open_registry.host}/base/python"
    source = f"dir:{python_base.folder}"
    subprocess.run(["skopeo", "copy", "--quiet", "--dest-tls-verify=false", source, f"docker://{name}:x"], check=True)
    yield f"{name}@{python_base.digest}"
    docker_engine.images.remove(f"{name}@{python_base.digest}", force=True)


def test_a_login_that_a_client_lends(
    harness: Any, pool: Any, docker_registry: Any, python_base: Any, docker_engine: Any
) -> None:
    """An image of a registry with a password can be run with the login of the block, which is in memory only."""
    image = f"{docker_registry.host}/base/python@{python_base.digest}"
    with suppress(ImageNotFound):
        docker_engine.images.remove(image, force=True)
    spec = pool(image, command=["python3"], args=["-c", "print('ran')"])
    refused = harness.run(spec)
    assert refused.state == "JOB_STATE_FAILED"
    assert "401" in refused.error_message
    login = {"username": docker_registry.username, "password": docker_registry.password}
    harness.executor._logins.lend(docker_registry.host, login)
    record = harness.run(spec)

    assert record.state == "JOB_STATE_SUCCEEDED", record.error_message
    kept = [path for path in harness.folder.rglob("*") if path.is_file()]
    assert [path for path in kept if docker_registry.password.encode() in path.read_bytes()] == []
