"""Building with a real BuildKit daemon."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fixtures.images.base_image import PythonBase
from fixtures.images.buildkit_daemon import BuildkitDaemon, buildkit, daemon
from fixtures.images.registry_server import RegistryServer
from prefect_vertex_training.core.errors import BaseImageError, DockerError
from prefect_vertex_training.images.buildkit.buildctl import CERTIFICATES
from prefect_vertex_training.images.buildkit.buildkit_build import build
from prefect_vertex_training.images.buildkit.layout_python import find_python_in_layout
from prefect_vertex_training.images.oci.image_types import ImageRequest
from prefect_vertex_training.images.oci.layout import OciLayout
from prefect_vertex_training.images.oci.reference import Reference
from prefect_vertex_training.images.push import push
from prefect_vertex_training.images.registry.auth import Credentials
from prefect_vertex_training.images.registry.repository import Repository

__all__ = ["buildkit", "daemon"]


@pytest.fixture
def request_of(tmp_path: Path) -> Any:
    """The request of a project with these files."""

    def make(files: dict[str, str], **fields: Any) -> ImageRequest:
        root = tmp_path / "project"
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        request = ImageRequest("own", root, (), "train.py", "", "3.11", dockerfile=root / "Dockerfile")
        return replace(request, **fields)

    return make


def test_a_dockerfile_becomes_an_image_of_the_layout(
    daemon: str,
    python_base: PythonBase,
    docker_registry: RegistryServer,
    request_of: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Arguments, stage, labels and the base's login count; the registry gets the same digest; a second build reuses."""
    monkeypatch.setenv("BUILDKIT_HOST", daemon)
    word = uuid4().hex
    text = f"""\
        ARG BASE={python_base.name}
        FROM $BASE AS first
        ARG WORD=none
        RUN echo "the word is $WORD" && echo "$WORD" > /word
        COPY . /app
        FROM first
        RUN echo never
    """
    request = request_of(
        {"train.py": "print('trained')\n", "data/big": "x", ".dockerignore": "data\n", "Dockerfile": text},
        build_args={"WORD": word},
        target="first",
        labels={"org.opencontainers.image.revision": "a,b=c"},
    )
    own = Credentials.fixed(docker_registry.username, docker_registry.password)
    layout, lines = OciLayout(tmp_path / "layout", "own"), []
    arguments: dict[str, Any] = {"bases": {python_base.name: python_base.digest}, "credentials": lambda _: own}

    image = build(request, layout, log=lines.append, **arguments)

    assert f"the word is {word}" in lines
    assert "never" not in "\n".join(lines)
    found = layout.get_manifest(image.digest) or pytest.fail("no manifest")
    with layout.open_blob(json.loads(found[1])["config"]["digest"]) as body:
        config = json.loads(body.read())
    assert config["config"]["Labels"]["org.opencontainers.image.revision"] == "a,b=c"
    assert (config["architecture"], image.builder, image.is_in_engine) == ("amd64", "docker", False)
    assert image.layers[-1].title.startswith("COPY . /app")
    assert find_python_in_layout(layout, image.digest, "outputs", cache=tmp_path / "cache").endswith("/bin/python3")
    target = Repository(Reference.parse(f"{docker_registry.host}/own"), credentials=own)
    pushed = push(image, layout, target, tags=["t"])
    assert docker_registry.digest("own", "t") == image.digest == pushed.digest
    again = build(request, layout, log=lines.append, **arguments)
    assert again.digest == image.digest
    assert {layer.action for layer in again.layers} == {"reused"}
    assert any(line.endswith("CACHED") for line in lines)


def test_a_failed_build(daemon: str, request_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line names the instruction and its line; the detail has the output; nothing is in the layout."""
    monkeypatch.setenv("BUILDKIT_HOST", daemon)
    request = request_of({"train.py": "", "Dockerfile": "FROM scratch\n\nCOPY nothing /x\n"})
    with pytest.raises(DockerError, match=r"the build failed: .*nothing") as caught:
        build(request, OciLayout(tmp_path / "layout", "own"), log=lambda _: None, bases={})

    assert "Dockerfile line 3: COPY nothing /x" in str(caught.value)
    assert not list((tmp_path / "layout").rglob("sha256/*"))


def test_another_platform(daemon: str, request_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused before the build, and as the image's own."""
    monkeypatch.setenv("BUILDKIT_HOST", daemon)
    request = request_of({"train.py": "", "Dockerfile": "FROM --platform=linux/arm64 scratch2\n"})
    with pytest.raises((DockerError, BaseImageError), match="linux/arm64"):
        build(
            request, OciLayout(tmp_path / "layout", "own"), log=lambda _: None, bases={"scratch2": "sha256:" + 64 * "0"}
        )


def test_a_daemon_in_the_network_asks_for_a_certificate(
    buildkit: BuildkitDaemon, request_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the folder of certificates it builds; without, or with the authority alone, one line names the variable."""
    monkeypatch.setenv("BUILDKIT_HOST", buildkit.network)
    request = request_of({"train.py": "", "Dockerfile": "FROM scratch\nCOPY train.py /\n"})
    layout = OciLayout(tmp_path / "layout", "own")
    authority = tmp_path / "authority"
    authority.mkdir()
    (authority / "ca.pem").write_bytes((buildkit.certificates / "ca.pem").read_bytes())
    for folder in ("", str(authority)):
        monkeypatch.setenv(CERTIFICATES, folder)
        with pytest.raises(DockerError, match=f"BuildKit doesn't take the build.*{CERTIFICATES}") as caught:
            build(request, layout, log=lambda _: None, bases={})
        assert "\n" not in str(caught.value)
    monkeypatch.setenv(CERTIFICATES, str(buildkit.certificates))

    image = build(request, layout, log=lambda _: None, bases={})
    assert layout.head_manifest(image.digest) is not None
