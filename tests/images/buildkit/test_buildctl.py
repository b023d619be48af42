"""BuildKit's client: what it is given, and what becomes of what it says."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from prefect_vertex_training.core.errors import DockerError
from prefect_vertex_training.images.buildkit.buildctl import find_buildctl, is_open_network, run_build, write_logins
from prefect_vertex_training.images.registry.auth import Credentials

Buildctl = Callable[[str], None]


@pytest.fixture
def buildctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Buildctl:
    """Writes a program of this name that says what a test wants to be said; the daemon is at unix:///daemon."""
    monkeypatch.setenv("BUILDKIT_HOST", "unix:///daemon")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def write(script: str) -> None:
        (tmp_path / "buildctl").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "buildctl").chmod(0o755)

    return write


def test_progress_and_the_end_of_a_failed_build(buildctl: Buildctl, tmp_path: Path) -> None:
    """Objects are progress; the last `error:` is the message, without the lines of the Dockerfile before it."""
    buildctl(
        'echo \'{"vertexes":[{"name":"x"}]}\' >&2; echo "Dockerfile:2" >&2; echo "error: failed to solve: a" >&2;'
        ' echo "more" >&2; echo "$@" > "$DOCKER_CONFIG/arguments"; exit 1'
    )
    seen: list[Mapping[str, Any]] = []

    assert run_build(["--opt", "a=b"], seen.append, tmp_path) == "failed to solve: a\nmore"
    assert seen == [{"vertexes": [{"name": "x"}]}]
    assert (tmp_path / "arguments").read_text() == "build --progress=rawjson --opt a=b\n"
    buildctl("echo '{}' >&2")
    assert not run_build([], seen.append, tmp_path)


def test_no_daemon_and_no_buildctl(buildctl: Buildctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line names the daemon; the next step is to start it, or to install the client."""
    buildctl("echo 'error: failed to list workers: Unavailable: no such file' >&2; exit 1")
    with pytest.raises(DockerError, match="doesn't take the build: failed to list workers") as caught:
        run_build([], lambda _: None, tmp_path)
    assert "BUILDKIT_HOST=unix:///daemon" in str(caught.value)

    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(DockerError, match="buildctl, which isn't on PATH") as caught:
        find_buildctl()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (("ca.pem",), "--tlscacert=DIR/ca.pem build"),
        (("ca.crt", "tls.crt", "tls.key"), "--tlscacert=DIR/ca.crt --tlscert=DIR/tls.crt --tlskey=DIR/tls.key build"),
        (("ca.pem", "cert.pem"), "VERTEX_TRAINING_BUILDKIT_CERTS has no key.pem or tls.key"),
        ((), "VERTEX_TRAINING_BUILDKIT_CERTS has no ca.pem or ca.crt"),
    ],
)
def test_certificates_of_a_daemon_in_the_network(
    buildctl: Buildctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: tuple[str, ...], expected: str
) -> None:
    """Buildctl gets the files that are there by its options; for a socket of this machine it gets none."""
    folder = tmp_path / "certificates"
    folder.mkdir()
    for name in files:
        (folder / name).touch()
    buildctl('echo "$@" > "$DOCKER_CONFIG/arguments"; echo "{}" >&2')
    monkeypatch.setenv("VERTEX_TRAINING_BUILDKIT_CERTS", str(folder))
    assert not run_build([], lambda _: None, tmp_path)
    assert (tmp_path / "arguments").read_text().startswith("build ")
    monkeypatch.setenv("BUILDKIT_HOST", "tcp://builder:1234")
    assert not is_open_network("tcp://builder:1234")

    try:
        run_build([], lambda _: None, tmp_path)
        said = (tmp_path / "arguments").read_text()
    except DockerError as error:
        said = str(error)

    assert expected.replace("DIR", str(folder)) in said


@pytest.mark.parametrize(
    ("address", "is_open"),
    [("tcp://builder:1234", True), ("tcp://127.0.0.1:1", False), ("tcp://[::1]:1", False), ("unix:///x", False)],
)
def test_an_open_network(address: str, is_open: bool) -> None:
    """Said before the build, as its logins and secrets go there."""
    assert is_open_network(address) is is_open


def test_a_build_ends_with_its_caller(buildctl: Buildctl, tmp_path: Path) -> None:
    """An error while progress is shown, such as a run's cancellation, ends buildctl, and with it the build."""
    buildctl("echo $$ > \"$DOCKER_CONFIG/pid\"; echo '{}' >&2; exec sleep 100")

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_build([], stop, tmp_path)
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def test_logins(tmp_path: Path) -> None:
    """Those of the images' registries, for the owner's eyes alone; Docker Hub has a key of its own."""
    logins = {
        "docker.io": Credentials.fixed("me", "p:w"),
        "a.example/x": Credentials.fixed("", "t", "identity"),
    }
    write_logins(tmp_path, ["a.example/x", "b.example/y", "docker.io"], logins.get)

    path = tmp_path / "config.json"
    assert json.loads(path.read_text()) == {
        "auths": {
            "a.example": {"identitytoken": "t"},
            "https://index.docker.io/v1/": {"auth": base64.b64encode(b"me:p:w").decode()},
        }
    }
    assert path.stat().st_mode & 0o777 == 0o600
