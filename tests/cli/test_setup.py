"""`vertex-training setup`: blocks from options and from answers, tried with a registry and local_vertex."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fixtures.images.registry_server import RegistryServer
from fixtures.suite.ports import free_port
from prefect.blocks.core import Block
from prefect_docker.credentials import DockerRegistryCredentials
from prefect_vertex_training.blocks.registry import ContainerRegistry
from prefect_vertex_training.blocks.vertex_ai import VertexAI
from prefect_vertex_training.cli import setup_blocks
from prefect_vertex_training.cli.main import main
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import lifecycle


class Terminal(io.StringIO):
    """Standard input of a terminal."""

    def isatty(self) -> bool:
        """True, so that questions are asked."""
        return True


@pytest.fixture
def name(home: Home) -> str:
    """The name of the test's blocks; a Prefect server runs."""
    return f"mine-{uuid4().hex[:6]}"


def saved(kind: type[Block], name: str) -> Any:
    """The saved block."""
    return kind.load(name)


def command(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    with pytest.raises(SystemExit) as stop:
        main(["setup", *words])
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def test_blocks_from_options_are_saved_and_work(
    home: Home,
    name: str,
    docker_registry: RegistryServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The password comes from standard input and is never printed; --check tries them again; --overwrite replaces."""
    running = lifecycle.ensure_running(home, project="my-project-123", region="europe-west4")
    where = ["--registry", f"{docker_registry.host}/team", "--registry-user", docker_registry.username]
    jobs = ["--project", running.project, "--region", running.region, "--bucket", running.bucket]
    jobs += ["--endpoint", running.target]

    monkeypatch.setattr(sys, "stdin", io.StringIO(docker_registry.password + "\n"))
    code, out, err = command("--name", name, *where, *jobs, capsys=capsys)
    assert (code, err) == (0, ""), out
    assert f"{docker_registry.host}/team: {docker_registry.username} may push" in out
    assert f"{running.parent}: jobs can be listed" in out
    assert f"run PROJECT --registry {name} --vertex {name}" in out
    assert docker_registry.password not in out
    assert saved(ContainerRegistry, name).project == "team"

    code, again, _ = command("--name", name, "--check", capsys=capsys)
    assert (code, again.count("works")) == (0, 2)

    jobs[jobs.index("--bucket") + 1] = "another"
    code, _, err = command("--name", name, *jobs, capsys=capsys)
    assert (code, f"VertexAI block called '{name}' is there already" in err) == (2, True)
    assert saved(VertexAI, name).bucket == running.bucket
    code, _, _ = command("--name", name, *jobs, "--overwrite", capsys=capsys)
    assert (code, saved(VertexAI, name).bucket) == (0, "another")


def test_blocks_from_answers(
    name: str, docker_registry: RegistryServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong answer is asked for again with all answers as defaults; a wrong password fails the trial."""
    first = [f"{docker_registry.host}/Team", "trainer", "", ""]
    second = [f"{docker_registry.host}/team", "", "", ""]
    monkeypatch.setattr(sys, "stdin", Terminal("".join(f"{line}\n" for line in first + second)))
    monkeypatch.setattr(setup_blocks, "getpass", lambda _: "not the password")

    code, out, err = command("--name", name, capsys=capsys)

    assert "'Team'" in err
    assert [line for line in out.splitlines() if line.startswith("FAILS") and docker_registry.host in line]
    assert code == 2
    assert saved(DockerRegistryCredentials, name).username == "trainer"


def test_a_registry_that_does_not_answer_is_saved_and_reported(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the reason, and exit code 2."""
    host = f"127.0.0.1:{free_port()}"
    code, out, _ = command("--name", name, "--registry", f"{host}/team", capsys=capsys)

    assert code == 2
    assert f"saved    ContainerRegistry {name}" in out
    assert [line for line in out.splitlines() if line.startswith("FAILS") and host in line]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--project", "x", "--region", "europe-west4", "--bucket", "b1b"], "project 'x' is not valid"),
        (["--project", "my-project-123", "--region", "europe-west4-a", "--bucket", "b1b"], "write europe-west4"),
        (["--project", "my-project-123", "--key-file", "/nowhere.json"], "/nowhere.json"),
        (["--registry", "gcr.io/my-project/training"], "gcr.io has no repositories"),
        (["--bucket", "models"], "neither a registry nor a project"),
        (["--check"], "no ContainerRegistry or VertexAI block is called"),
        ([], "nothing to set up"),
    ],
)
def test_invalid_input_is_reported_and_nothing_is_saved(
    name: str, words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error is one line."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    code, out, err = command("--name", name, *words, capsys=capsys)

    assert (code, len(err.splitlines())) == (2, 1), err
    assert said in err
    assert out == ""
    with pytest.raises(ValueError, match=name):
        saved(VertexAI, name)


@pytest.mark.parametrize("content", ["no JSON", "[]", "{}", json.dumps({"type": "service_account"})])
def test_an_invalid_key_file(name: str, tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is rejected before anything is saved."""
    key = tmp_path / "key.json"
    key.write_text(content)
    code, out, err = command("--name", name, "--registry", "gcr.io/my-project", "--key-file", str(key), capsys=capsys)

    assert (code, out) == (2, "")
    assert "not a service account's key file" in err
    assert str(key) in err
