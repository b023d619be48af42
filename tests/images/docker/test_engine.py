"""Which container engine is used, and what is said where none answers."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from prefect_vertex_training.core.errors import DockerError
from prefect_vertex_training.images.docker.engine import connect, engines


@pytest.fixture(autouse=True)
def no_engines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only what a test sets up."""
    for name in ("DOCKER_CONTEXT", "CONTAINER_HOST", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")


def test_what_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error lists every engine with its reason, in one line."""
    monkeypatch.setenv("CONTAINER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nonexistent")
    with pytest.raises(DockerError, match="no Docker engine answers, to test") as caught:
        connect("to test")

    text = str(caught.value)
    assert "\n" not in text
    for part in (
        "DOCKER_HOST=",
        "CONTAINER_HOST=tcp://127.0.0.1:1",
        "podman: no socket at /nonexistent",
        "podman of root",
    ):
        assert part in text


def test_the_context_that_was_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`docker context use` names another engine; DOCKER_HOST comes before it."""
    (tmp_path / "config.json").write_text('{"currentContext": "other"}')
    meta = tmp_path / "contexts/meta/abc/meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Name": "other", "Endpoints": {"docker": {"Host": "unix:///other.sock"}}}))
    assert "unix:///other.sock" not in [address for _, address in engines()]
    monkeypatch.delenv("DOCKER_HOST")

    assert next(iter(engines())) == ("docker's context", "unix:///other.sock")
    (tmp_path / "config.json").write_bytes(b"\xff")
    assert next(iter(engines()))[0] == "Docker"


@pytest.mark.docker
def test_podmans_socket(docker_engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Docker doesn't answer, an engine at podman's place does."""
    with TemporaryDirectory() as folder:  # a socket's path must be short
        place = Path(folder, "podman")
        place.mkdir()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(place / "podman.sock"))
        listener.listen()
        threading.Thread(target=_forward, args=(listener,), daemon=True).start()
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        engine = connect("to test")
        assert engine.version()["Version"] == docker_engine.version()["Version"]
        engine.close()
        listener.close()


def _forward(listener: socket.socket) -> None:
    """Passes connections on to the real engine."""
    while True:
        try:
            ours, _ = listener.accept()
        except OSError:
            return
        theirs = socket.socket(socket.AF_UNIX)
        theirs.connect("/var/run/docker.sock")
        for source, target in ((ours, theirs), (theirs, ours)):
            threading.Thread(target=_copy, args=(source, target), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass
