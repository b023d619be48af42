"""One secret of each kind, through success, failure, Retry, cancel, direct and Docker: where each is found then."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fixtures.google.secret_manager import SecretManagerServer, secret_manager
from fixtures.images.base_image import PYTHON, PythonBase
from fixtures.images.engine import remove_tags
from fixtures.images.registry_server import RegistryServer
from fixtures.prefect_api.worker import until
from fixtures.projects.git_server import TOKEN, GitServer, git_server
from fixtures.projects.marked_files import marked, marked_processes
from fixtures.projects.private_index import PASSWORD, index
from prefect import settings
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.flow_engine import run_flow
from prefect_docker.credentials import DockerRegistryCredentials
from prefect_gcp.credentials import GcpCredentials
from prefect_vertex_training.blocks.registry import ContainerRegistry
from prefect_vertex_training.blocks.vertex_ai import VertexAI
from prefect_vertex_training.core.errors import ProjectError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.flows.train import train
from prefect_vertex_training.local_vertex import lifecycle
from prefect_vertex_training.local_vertex.execution.container.container import host_address
from prefect_vertex_training.local_vertex.storage import storage_service
from prefect_vertex_training.vertex.client.connection import Connection

__all__ = ["git_server", "index", "secret_manager"]
pytestmark = [pytest.mark.prefect, pytest.mark.docker, pytest.mark.registry]

VERSION = "projects/my-project/secrets/wandb/versions/3"
JOB = "CLOUD_ML_JOB_ID"
SCRIPT = f"""\
import hashlib, json, os, pathlib, sys, time

values = {{name: os.environ.get(name, "") for name in ("BLOCK_KEY", "LOCAL_KEY", "MANAGER_KEY")}}
print(*values.values(), flush=True)
print("error", *values.values(), file=sys.stderr, flush=True)
if "{JOB}" in os.environ and "--wait" in sys.argv:
    time.sleep(600)
if "{JOB}" in os.environ and "--fail" in sys.argv:
    raise RuntimeError("refused " + " ".join(values.values()))
folder = pathlib.Path(os.environ["AIP_MODEL_DIR"].replace("gs://", "/gcs/"))
folder.mkdir(parents=True, exist_ok=True)
digests = {{name: hashlib.sha256(value.encode()).hexdigest() for name, value in values.items()}}
(folder / "digests.json").write_text(json.dumps(digests))
"""
IN_THE_ENVIRONMENT_OF_A_JOB = {"store.db", "store.db-wal"}
"""local_vertex keeps each job with its environment, as Vertex AI does; docs/security.md says so."""


def write_project(folder: Path, base: PythonBase, index_host: str, manager: dict[str, str]) -> None:
    """A project that needs the private index, and that has one secret variable of each kind."""
    (folder / "train.py").write_text(SCRIPT)
    (folder / "requirements.txt").write_text(f"--index-url http://alice:${{PW}}@{index_host}/simple\ndemo\n")
    (folder / "pyproject.toml").write_text(
        "[tool.vertex-training]\nverify-args = []\nattempts = 1\nrestarts = 'none'\n"
        f'base = "{base.pinned}"\npython = "{PYTHON}"\nenv = {json.dumps(manager).replace(": ", " = ")}\n'
        'secret-env = { BLOCK_KEY = "block:places-key", LOCAL_KEY = "env:HERE_KEY", '
        f'MANAGER_KEY = "secret-manager:{VERSION}" }}\n'
    )


def commit(folder: Path, bare: Path) -> None:
    """Puts a folder into a bare repository."""
    name = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "one"]):
        subprocess.run(["git", *name, "-C", folder, *words], check=True)
    subprocess.run(["git", "clone", "--quiet", "--bare", folder, bare], check=True)


def reference(block: Any) -> dict[str, Any]:
    """A saved block as Prefect's UI gives it to a run."""
    return {"$ref": {"block_document_id": str(block._block_document_id)}}


def begin(parameters: Mapping[str, Any]) -> UUID:
    """Creates a run of the train flow and executes it to its end, as a worker does."""
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(train, parameters=dict(parameters))
    again(run.id)
    return run.id


def again(run: UUID) -> str:
    """Executes a run; returns its last state's name."""
    with get_client(sync_client=True) as client:
        found = client.read_flow_run(run)
        run_flow(train, flow_run=found, parameters=found.parameters, return_type="state")
        return str(client.read_flow_run(run).state_name)


def retry(run: UUID) -> str:
    """What Retry in Prefect's UI does."""
    with get_client(sync_client=True) as client:
        body = {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": True}
        client.request("POST", f"/flow_runs/{run}/set_state", json=body).raise_for_status()
    return again(run)


def states(home: Home) -> list[str]:
    """The states of all jobs, the oldest first."""
    connection = Connection.local(home)
    jobs = connection.jobs.list_custom_jobs(parent=connection.parent)
    return [job.state.name.removeprefix("JOB_STATE_") for job in jobs][::-1]


@pytest.mark.timeout(600)
def test_each_secret_is_only_where_the_documentation_says(
    home: Home, python_base: PythonBase, docker_base: str, docker_registry: RegistryServer, docker_engine: Any,
    git_server: GitServer, secret_manager: SecretManagerServer, index: str, tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Neither files, layers, databases, logs, messages nor other processes hold one: plain, in base64, as in a URL."""
    caplog.set_level(logging.DEBUG)
    begun = time.time() - 1
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    markers = {
        "block": "m4rk-place-block/5d20!x",
        "variable": "m4rk-place-local/8aa1?y",
        "secret manager": "m4rk-place-manager/e7c4=z",
        "git token": TOKEN,
        "registry password": docker_registry.password,
        "index password": PASSWORD,
        "key of an account": pem.splitlines()[3],
        "secret of a build": "m4rk-place-build/77c1~w",
        "argument": "ghp_" + "kL4mN6pQ8rS1tU3vW5xY7zA9bC2dE4fG6hJ8",
    }
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    monkeypatch.setenv("HERE_KEY", markers["variable"])
    monkeypatch.setenv("PW", PASSWORD.replace("/", "%2F"))
    for name in ("UV_CACHE_DIR", "XDG_CACHE_HOME", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    secret_manager.values[VERSION] = markers["secret manager"].encode()
    repository = tmp_path / f"tiny-{uuid4().hex[:8]}"
    repository.mkdir()
    address = host_address(docker_engine.networks.get("bridge").attrs)
    assert address is not None
    write_project(repository, python_base, index, secret_manager.env_at(address))
    commit(repository, git_server.root / "models.git")

    service = lifecycle.ensure_running(home, project="my-project-1")
    Secret(value=markers["block"]).save("places-key", overwrite=True)
    token = Secret(value=TOKEN)
    token.save("places-git", overwrite=True)
    login = DockerRegistryCredentials(
        username=docker_registry.username, password=docker_registry.password, registry_url=docker_registry.host
    )
    registry = ContainerRegistry(host=docker_registry.host, project="team", credentials=login)
    registry.save("places-registry", overwrite=True)
    account = GcpCredentials(
        service_account_info={  # pyright: ignore[reportArgumentType]
            "type": "service_account", "project_id": "my-project-1", "private_key_id": "1", "private_key": pem,
            "client_email": "ci@my-project-1.iam.gserviceaccount.com", "token_uri": "https://oauth2.invalid/token",
        }
    )  # fmt: skip
    VertexAI(
        project="my-project-1", region=service.region, bucket=service.bucket, endpoint=service.target,
        credentials=account,
    ).save("places-vertex", overwrite=True)  # fmt: skip
    address = f"{git_server.address}/models.git"
    parameters = {"project": address, "git_token": reference(token), "registry": reference(registry)}

    succeeded = begin(parameters)
    failed = begin({**parameters, "args": ["--fail"]})
    assert retry(failed) == "Failed"
    Secret(value=markers["secret of a build"]).save("places-build", overwrite=True)
    with (repository / "pyproject.toml").open("a") as file:
        file.write('build-secrets = { index = "block:places-build" }\n')
    (repository / "Dockerfile").write_text(
        f"FROM {docker_base}\nENV NOT_CACHED={uuid4().hex}\nWORKDIR /app\nCOPY train.py .\n"
        "RUN --mount=type=secret,id=index,required=true cat /run/secrets/index && echo && wc -c /run/secrets/*\n"
        'ENTRYPOINT ["python3", "train.py"]\n'
    )
    docker = begin({"project": str(repository), "registry": reference(registry)})
    with pytest.raises(ProjectError, match="looks like a secret"):
        train(str(repository), args=["--token", markers["argument"]])
    words = ["run", address, "--git-token", "places-git", "--registry", "places-registry", "--vertex", "places-vertex"]
    with subprocess.Popen(
        [Path(sys.executable).with_name("vertex-training"), *words, "--", "--wait"],
        env={
            **os.environ,
            "PREFECT_API_URL": str(settings.PREFECT_API_URL.value()),
            "PREFECT_LOCAL_STORAGE_PATH": str(tmp_path / "results"),
            "STORAGE_EMULATOR_HOST": storage_service.ensure_running(home.vertex).url,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as cancelled:
        until(lambda: states(home)[-1] == "RUNNING" or cancelled.poll() is not None, pause=0.1)
        at_work = marked_processes(markers, of_script=JOB)
        cancelled.send_signal(signal.SIGTERM)
        try:
            said = cancelled.communicate(timeout=60)[0].decode()
        finally:
            cancelled.kill()

    assert states(home) == ["SUCCEEDED", "FAILED", "FAILED", "SUCCEEDED", "CANCELLED"], said
    with get_client(sync_client=True) as client:
        assert [client.read_flow_run(run).state_name for run in (succeeded, docker)] == ["Completed", "Completed"]
    wanted = {name: hashlib.sha256(markers[kind].encode()).hexdigest() for name, kind in (
        ("BLOCK_KEY", "block"), ("LOCAL_KEY", "variable"), ("MANAGER_KEY", "secret manager"),
    )}  # fmt: skip
    models = [json.loads(path.read_text()) for path in home.vertex.rglob("digests.json")]
    assert models == [wanted, wanted]
    with get_client(sync_client=True) as client:
        lines = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[docker])), limit=200)
    assert [line.message for line in lines if line.message == "********"]  # what the build printed of its secret

    database = list(tmp_path_factory.getbasetemp().glob("prefect*"))
    assert [path for folder in database for path in folder.glob("prefect.db")]
    found = marked([tmp_path, docker_registry.storage, *database], markers, since=begun)
    of_jobs = {name: {path.rpartition("/")[2] for path in found.pop(name, set())} for name in ("block", "variable")}
    assert all(names <= IN_THE_ENVIRONMENT_OF_A_JOB for names in of_jobs.values()), of_jobs
    assert of_jobs["block"]
    assert found == {}
    # A person's own variables are in the environment of all that the person starts.
    own = {"variable", "index password"}
    assert {
        name: where
        for name, where in at_work.items()
        if name not in own or any(place.startswith("command") for place in where)
    } == {}
    for name, marker in markers.items():
        assert marker not in caplog.text + said, name
    containers = [found.attrs for found in docker_engine.containers.list(all=True)]
    assert [name for name, marker in markers.items() if marker in json.dumps(containers)] == []
    remove_tags(docker_engine, lambda tag: repository.name in tag)
