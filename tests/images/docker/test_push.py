"""Pushing from a real Docker engine to a real registry, with faults."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fixtures.images.faulty_proxy import Fault, Proxy, faulty_proxy
from fixtures.images.registry_server import RegistryServer
from prefect_vertex_training.core.errors import RegistryDenied, RegistryError, RegistryUnavailable
from prefect_vertex_training.images.docker.docker_build import build
from prefect_vertex_training.images.docker.docker_push import push
from prefect_vertex_training.images.oci.image_types import BuiltImage
from prefect_vertex_training.images.oci.reference import Reference
from prefect_vertex_training.images.registry.auth import Credentials
from prefect_vertex_training.images.registry.repository import Repository

Push = Callable[..., BuiltImage]


@pytest.fixture
def image(docker_engine, request_of) -> BuiltImage:
    """An image with a layer of random bytes that no registry has."""
    request = request_of({"train.py": os.urandom(200_000).hex(), "Dockerfile": "FROM scratch\nCOPY train.py /\n"})
    return build(request, engine=docker_engine, tag="push", log=lambda _: None)


@pytest.fixture
def proxy(docker_registry: RegistryServer) -> Iterator[Proxy]:
    """A proxy in front of the registry with a password."""
    with faulty_proxy(docker_registry.host) as proxy:
        yield proxy


@pytest.fixture
def repository(tmp_path: Path) -> str:
    """A repository for this test only."""
    return f"docker-way/{tmp_path.name.replace('_', '-').strip('-').lower()}"


@pytest.fixture
def to(docker_engine, docker_registry: RegistryServer, image: BuiltImage, repository: str) -> Push:
    """Pushes the image to a host with the registry's password, and doesn't wait between attempts."""

    def run(
        host: str, password: str = docker_registry.password, log: Callable[[str], None] = lambda _: None
    ) -> BuiltImage:
        target = Repository(
            Reference(host, repository), credentials=Credentials.fixed(docker_registry.username, password)
        )
        tags = ["fp-1", "latest"]
        return push(image, engine=docker_engine, target=target, tags=tags, log=log, sleep=lambda _: None)

    return run


def test_push_by_digest(docker_engine, docker_registry: RegistryServer, to: Push, repository: str) -> None:
    """The digest is the registry's, under both tags; docker pull and skopeo inspect find the same image."""
    pushed = to(docker_registry.host)

    assert pushed.reference == f"{docker_registry.host}/{repository}@{pushed.digest}"
    assert docker_registry.digest(repository, "fp-1") == pushed.digest
    assert docker_registry.digest(repository, "latest") == pushed.digest
    assert [(layer.action, layer.title[:4]) for layer in pushed.layers] == [("uploaded", "COPY")]
    assert pushed.size == pushed.layers[0].size > 200_000
    seen = subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", "--creds", f"{docker_registry.username}:{docker_registry.password}",
         f"docker://{docker_registry.host}/{repository}:fp-1"],
        check=True, capture_output=True,
    ).stdout  # fmt: skip
    assert json.loads(seen)["Digest"] == pushed.digest
    docker_engine.images.remove(f"{docker_registry.host}/{repository}:fp-1")
    docker_engine.images.remove(f"{docker_registry.host}/{repository}:latest")
    auth = {"username": docker_registry.username, "password": docker_registry.password}
    assert docker_engine.images.pull(pushed.reference, auth_config=auth).attrs["Architecture"] == "amd64"


def test_push_again(docker_registry: RegistryServer, to: Push) -> None:
    """Layers that the registry has aren't sent again."""
    first = to(docker_registry.host)
    second = to(docker_registry.host)

    assert second.digest == first.digest
    assert [layer.action for layer in second.layers] == ["reused"]


def test_wrong_password(docker_registry: RegistryServer, to: Push, repository: str) -> None:
    """A 401 ends the push at once; the error has the host, the account and the next step."""
    with pytest.raises(RegistryDenied) as caught:
        to(docker_registry.host, password="wrong")

    message = str(caught.value)
    assert "refused trainer (401)" in message
    assert docker_registry.host in message
    assert f"docker login {docker_registry.host}" in message
    assert docker_registry.tags(repository) == []


def test_forbidden_from_the_start(proxy: Proxy, to: Push) -> None:
    """A 403 stops before the engine sends anything."""
    proxy.choose = lambda method, *_: Fault(status=403) if method == "POST" else None

    with pytest.raises(RegistryDenied, match=r"refused trainer \(403\)"):
        to(proxy.host)
    assert {line.split()[0] for line in proxy.seen} <= {"POST"}


def test_forbidden_in_the_middle(proxy: Proxy, to: Push) -> None:
    """A permission that is revoked during a push ends it; the engine alone would retry for 50 seconds."""
    began = False

    def choose(method: str, _path: str, _number: int) -> Fault | None:
        nonlocal began
        began = began or method == "PATCH"
        return Fault(status=403, body=b"no") if began else None

    proxy.choose = choose

    with pytest.raises(RegistryDenied, match=r"refused trainer \(403\)"):
        to(proxy.host)


def test_web_page(proxy: Proxy, to: Push) -> None:
    """A host that answers with HTML is reported as no registry."""
    page = Fault(status=404, headers=(("Content-Type", "text/html"),), body=b"<html>Not found</html>")
    proxy.choose = lambda *_: page

    with pytest.raises(RegistryError, match="with a web page, not as a registry") as caught:
        to(proxy.host)
    assert not caught.value.transient


def test_cut_and_burst(docker_registry: RegistryServer, proxy: Proxy, to: Push, repository: str) -> None:
    """A connection cut in a layer, and 503 for the manifest, are tried again; the image is whole."""
    faults = {"PATCH": [Fault(cut_request=100_000)], "PUT manifests": [Fault(status=503), Fault(status=503)]}

    def choose(method: str, path: str, _number: int) -> Fault | None:
        waiting = faults.get(f"{method} manifests" if "/manifests/" in path else method)
        return waiting.pop() if waiting else None

    proxy.choose = choose
    lines: list[str] = []

    pushed = to(proxy.host, log=lines.append)

    assert not any(faults.values())
    assert docker_registry.digest(repository, "fp-1") == pushed.digest
    assert [layer.action for layer in pushed.layers] == ["uploaded"]


def test_registry_that_stays_away(proxy: Proxy, to: Push, docker_registry: RegistryServer, repository: str) -> None:
    """A registry that never takes the manifest ends in a transient error; nothing is tagged."""
    proxy.choose = lambda method, path, _: Fault(status=503) if (method, "manifests" in path) == ("PUT", True) else None

    with pytest.raises(RegistryUnavailable) as caught:
        to(proxy.host)

    assert caught.value.transient
    assert docker_registry.tags(repository) == []


def test_another_digest(proxy: Proxy, to: Push) -> None:
    """A registry that has another digest under the tag after the push is an error."""
    proxy.choose = lambda method, path, _: Fault(status=404) if method == "GET" and "manifests" in path else None

    with pytest.raises(RegistryError, match="the registry has nothing under the tag fp-1"):
        to(proxy.host)
