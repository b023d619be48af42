"""Copying an image from a Docker engine into an OCI layout."""

from __future__ import annotations

import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from uuid import uuid4

import docker
import pytest
from prefect_vertex_training.core.errors import DockerError
from prefect_vertex_training.images.docker.docker_build import build
from prefect_vertex_training.images.docker.export import export
from prefect_vertex_training.images.oci.image_types import BuiltImage
from prefect_vertex_training.images.oci.layout import OciLayout


def test_export_and_edit(docker_engine, docker_base, request_of, tmp_path: Path) -> None:
    """The layout has the same image as the engine, other tools can read it, and an edit adds one layer."""
    word = uuid4().hex
    dockerfile = f"FROM {docker_base}\nRUN echo {word} > /word\nENV A=1\nCOPY train.py /\nCMD python3 /train.py\n"
    request = request_of({"train.py": "print('first')\n", "Dockerfile": dockerfile})
    layout = OciLayout(tmp_path / "images", "docker-way")

    def run() -> BuiltImage:
        built = build(request, engine=docker_engine, tag="export", log=lambda _: None)
        return export(
            built, engine=docker_engine, layout=layout, tags=["latest"], cache=tmp_path / "cache", log=lambda _: None
        )

    first = run()
    (request.root / "train.py").write_text("print('second')\n")
    second = run()

    assert [layer.action for layer in first.layers] == ["built", "built", "built"]
    assert [layer.action for layer in second.layers] == ["reused", "reused", "built"]
    assert first.layers[1].title.startswith(f"RUN /bin/sh -c echo {word}")
    assert layout.is_whole(first.digest)
    assert layout.is_whole(second.digest)
    assert second.reference == f"oci:{tmp_path}/images:docker-way@{second.digest}"
    subprocess.run(
        ["skopeo", "copy", "--quiet", f"oci:{tmp_path}/images:docker-way:latest", "docker-daemon:docker-way:again"],
        check=True,
    )
    assert docker_engine.containers.run("docker-way:again", remove=True) == b"second\n"
    # The image's id is its config's digest, so the engine needs no second copy.
    manifest = json.loads(layout.get_manifest(second.digest)[1])
    assert docker_engine.images.get("docker-way:export").id == manifest["config"]["digest"]


def test_layer_that_was_lost(docker_engine, request_of, tmp_path: Path) -> None:
    """A recorded layer whose blob was removed is made again."""
    request = request_of({"train.py": uuid4().hex, "Dockerfile": "FROM scratch\nCOPY train.py /a\nCOPY train.py /b\n"})
    layout = OciLayout(tmp_path / "images", "docker-way")
    built = build(request, engine=docker_engine, tag="lost", log=lambda _: None)

    def run() -> BuiltImage:
        return export(built, engine=docker_engine, layout=layout, tags=["a"], cache=tmp_path, log=lambda _: None)

    first = run()
    layout.blob_path(first.layers[1].digest).unlink()
    second = run()

    assert second.digest == first.digest
    assert layout.is_whole(second.digest)


def test_image_that_left_the_engine(docker_engine, tmp_path: Path) -> None:
    """The error names an image that was removed from the engine; nothing is listed."""
    gone = BuiltImage(f"docker-daemon:gone@sha256:{'0' * 64}", f"sha256:{'0' * 64}", "", 0, builder="docker")
    layout = OciLayout(tmp_path / "images", "gone")

    with pytest.raises(DockerError, match="the engine no longer has the image"):
        export(gone, engine=docker_engine, layout=layout, tags=["a"], cache=tmp_path, log=lambda _: None)

    assert layout.head_manifest("a") is None


def test_archive_that_is_cut_off(docker_engine, request_of, tmp_path: Path) -> None:
    """An engine that stops in the middle of its answer is a transient error, and leaves no image."""
    request = request_of({"train.py": uuid4().hex, "Dockerfile": "FROM scratch\nCOPY train.py /\n"})
    built = build(request, engine=docker_engine, tag="export", log=lambda _: None)
    archive = b"".join(docker_engine.images.get(built.digest).save())

    class Half(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(archive[:2000])

        def log_message(self, *_: object) -> None: ...

    layout = OciLayout(tmp_path / "images", "docker-way")
    with HTTPServer(("127.0.0.1", 0), Half) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        engine = docker.DockerClient(base_url=f"http://127.0.0.1:{server.server_port}", version="1.41")
        with pytest.raises(DockerError, match="was cut off") as caught:
            export(built, engine=engine, layout=layout, tags=["a"], cache=tmp_path, log=lambda _: None)

    assert caught.value.transient
    assert layout.head_manifest("a") is None
