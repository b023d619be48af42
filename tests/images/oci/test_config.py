"""Config and manifest: what an image inherits from its base, and what the project sets."""

from __future__ import annotations

import random
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from prefect_vertex_training.core.errors import BaseImageError
from prefect_vertex_training.images.base.inspect import BaseContents
from prefect_vertex_training.images.base.resolve import Base
from prefect_vertex_training.images.oci.config import DOCKER, OCI
from prefect_vertex_training.images.oci.image_types import Descriptor, LayerReport
from prefect_vertex_training.images.oci.layout import OciLayout
from prefect_vertex_training.images.wheels import dependency_layers


@pytest.fixture
def base(tmp_path: Path) -> Base:
    """A base of which only manifest and config exist: a build needs no more."""
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Cmd": ["python3"],
            "Entrypoint": ["/entry"],
            "Env": ["PATH=/opt/conda/bin:/usr/bin", "CUDA=12=x", "LANG=C"],
            "Labels": {"maintainer": "them", "org.opencontainers.image.revision": "theirs"},
            "User": "jovyan",
        },
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "1" * 64, "sha256:" + "2" * 64]},
        "history": [{"created_by": "a"}, {"created_by": "env", "empty_layer": True}, {"created_by": "b"}],
    }
    return Base(
        reference="registry.example/base@sha256:" + "b" * 64,
        digest="sha256:" + "b" * 64,
        config=config,
        docker=True,
        layers=[Descriptor(DOCKER.layer, "sha256:" + digit * 64, 1000) for digit in "34"],
        source=OciLayout(tmp_path / "nowhere", "base"),
        read=lambda: BaseContents(config, "/opt/conda/bin/python3.11", "3.11"),
    )


def test_what_is_kept_of_the_base(demo_project, base: Base, tmp_path: Path) -> None:
    """Layers, environment, user and labels come from the base; command, path and entry point from the project."""
    image = demo_project.build(base=base, env={"LANG": "de"}, labels={"org.opencontainers.image.revision": "ours"})
    config, manifest = demo_project.config(image), demo_project.manifest(image)

    assert config["config"]["Env"] == [
        "PATH=/opt/vertex-training/venv/bin:/opt/conda/bin:/usr/bin",
        "CUDA=12=x",
        "LANG=de",
        "VIRTUAL_ENV=/opt/vertex-training/venv",
        "PYTHONUNBUFFERED=1",
    ]
    assert "Cmd" not in config["config"]
    assert config["config"]["Entrypoint"] == ["/opt/vertex-training/venv/bin/python", "/app/train.py"]
    assert config["config"]["User"] == "jovyan"
    assert config["config"]["Labels"]["maintainer"] == "them"
    assert config["config"]["Labels"]["org.opencontainers.image.revision"] == "ours"
    assert config["config"]["Labels"]["org.opencontainers.image.base.digest"] == base.digest
    assert config["rootfs"]["diff_ids"][:2] == base.contents.config["rootfs"]["diff_ids"]
    assert [layer["digest"] for layer in manifest["layers"][:2]] == [layer.digest for layer in base.layers]
    layers = len(manifest["layers"])
    assert len(config["rootfs"]["diff_ids"]) == layers == len(image.layers)
    assert sum(not entry.get("empty_layer") for entry in config["history"]) == layers
    assert image.size == sum(layer["size"] for layer in manifest["layers"])


@pytest.mark.parametrize("docker", [True, False])
def test_media_types_follow_the_base(docker: bool, demo_project, base: Base) -> None:
    """Docker's media types on a Docker base, OCI's on an OCI base, never both; only OCI manifests have annotations."""
    types, other = (DOCKER, OCI) if docker else (OCI, DOCKER)
    layers = [replace(layer, media_type=types.layer) for layer in base.layers]
    image = demo_project.build(base=replace(base, docker=docker, layers=layers))
    manifest = demo_project.manifest(image)

    assert manifest["mediaType"] == image.media_type == types.manifest
    assert manifest["config"]["mediaType"] == types.config
    assert {layer["mediaType"] for layer in manifest["layers"]} == {types.layer}
    assert ("annotations" in manifest) is (not docker)
    assert other.layer not in str(manifest)


def test_environment_is_the_bases_python(demo_project, base: Base, tmp_path: Path) -> None:
    """/opt/vertex-training/venv is a virtual environment of the base's interpreter, whatever its path."""
    image = demo_project.build(base=replace(base, layers=[], config={}, read=lambda: base.contents._replace(config={})))
    root = demo_project.unpack(image, tmp_path / "root")

    assert (root / "opt/vertex-training/venv/bin/python").readlink() == Path("/opt/conda/bin/python3.11")
    assert "home = /opt/conda/bin\n" in (root / "opt/vertex-training/venv/pyvenv.cfg").read_text()
    assert not (root / "opt/vertex-training/venv/lib/python3.11/site-packages/wrong_python.pth").exists()
    assert (root / "opt/vertex-training/venv/lib/python3.12/site-packages/wrong_python.pth").exists()


def test_bases_with_many_layers(demo_project, base: Base, make_wheel, tmp_path: Path) -> None:
    """The more layers a base has, the fewer wheels get their own; a base with too many is refused."""
    for number in range(4):
        noise = random.Random(number).randbytes(200_000)
        demo_project.wheels.append(make_wheel(tmp_path / "many", {f"m{number}.bin": noise}, name=f"p{number}"))

    def deep(layers: int) -> Base:
        digests = [Descriptor(DOCKER.layer, f"sha256:{number:064x}", 1) for number in range(layers)]
        config = {"rootfs": {"diff_ids": [layer.digest for layer in digests]}}
        return replace(base, layers=digests, read=lambda: base.contents._replace(config=config))

    def alone(layers: int) -> set[str]:
        image = demo_project.build(base=deep(layers))
        return {layer.title for layer in image.layers if layer.title.endswith(" 1.0")}

    assert alone(10) == {"big 1.0", "p0 1.0", "p1 1.0", "p2 1.0", "p3 1.0"}
    assert len(alone(96)) == 2
    with pytest.raises(BaseImageError, match="the base has 98 layers, too many"):
        demo_project.build(base=deep(98))


def test_sent_while_others_are_made(demo_project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finished layer is in the target while another is still being made."""
    arrived = threading.Event()
    seen: list[bool] = []
    real = dependency_layers.write_wheel_layer

    class Target(OciLayout):
        def put_blob(self, descriptor: Descriptor, open_body: object) -> None:
            super().put_blob(descriptor, open_body)  # type: ignore[arg-type]
            if descriptor.size > 250_000:
                arrived.set()

    def slow(out: object, path: Path, filename: str, python: str, title: str) -> object:
        if title.startswith("small"):
            seen.append(arrived.wait(60))
        return real(out, path, filename, python, title)  # type: ignore[arg-type]

    monkeypatch.setattr(dependency_layers, "write_wheel_layer", slow)
    demo_project.build(upload_to=Target(tmp_path / "target", "demo"))

    assert seen == [True]


def test_every_layer_is_reported(demo_project, tmp_path: Path) -> None:
    """Progress is called for each layer, and the result lists all layers in the image's order."""
    heard: list[LayerReport] = []
    target = OciLayout(tmp_path / "target", "demo")
    first = demo_project.build(upload_to=target, progress=heard.append)

    assert {report.digest for report in first.layers} <= {report.digest for report in heard}
    assert {report.action for report in first.layers} == {"uploaded"}
    assert [report.digest for report in first.layers] == [
        layer["digest"] for layer in demo_project.manifest(first)["layers"]
    ]
    assert all(report.size > 0 and report.seconds >= 0 for report in first.layers)
    assert {report.action for report in demo_project.build().layers} == {"reused"}
