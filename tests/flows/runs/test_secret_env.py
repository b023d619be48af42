"""Secrets reach the script and nothing else: markers are looked for in every file that a run leaves, in every form."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures.google.secret_manager import SecretManagerServer, secret_manager
from fixtures.projects.marked_files import places
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect_vertex_training.core.errors import JobFailed, ProjectError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.flows.train import train

__all__ = ["secret_manager"]
pytestmark = pytest.mark.prefect

BLOCK, LOCAL, MANAGER = "m4rk-block/7f3a!x", "m4rk-local/91bc?y", "m4rk-manager/c02d=z"
VERSION = "projects/my-project/secrets/wandb/versions/3"

SCRIPT = """\
import hashlib, json, os, pathlib, sys

names = ("BLOCK_KEY", "LOCAL_KEY", "MANAGER_KEY")
values = {name: os.environ.get(name, "") for name in names}
for name, value in values.items():
    print(name, value, flush=True)
    print("error", value, file=sys.stderr, flush=True)
print(json.dumps({"epoch": 1, "note": values["BLOCK_KEY"]}), flush=True)
if "CLOUD_ML_JOB_ID" in os.environ and "--fail" in sys.argv:
    raise RuntimeError("refused " + " ".join(values.values()))
folder = pathlib.Path(os.environ["AIP_MODEL_DIR"].replace("gs://", "/gcs/"))
folder.mkdir(parents=True, exist_ok=True)
digests = {name: hashlib.sha256(value.encode()).hexdigest() for name, value in values.items()}
(folder / "digests.json").write_text(json.dumps(digests))
"""


@pytest.fixture
def secret_project(project: Path, secret_manager: SecretManagerServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one secret variable of each kind."""
    secret_manager.values[VERSION] = MANAGER.encode()
    Secret(value=BLOCK).save("marked-key", overwrite=True)
    monkeypatch.setenv("HERE_KEY", LOCAL)
    env = ", ".join(f'{name} = "{value}"' for name, value in secret_manager.env.items())
    (project / "train.py").write_text(SCRIPT)
    (project / "pyproject.toml").write_text(
        f"[tool.vertex-training]\nverify-args = []\nattempts = 1\nenv = {{ {env}, PLAIN_VARIABLE = 'plain-value-1' }}\n"
        f'secret-env = {{ BLOCK_KEY = "block:marked-key", LOCAL_KEY = "env:HERE_KEY", '
        f'MANAGER_KEY = "secret-manager:{VERSION}" }}\n'
    )
    return project


def stored() -> str:
    """All that the server tells of runs, tasks, logs and artifacts."""
    with get_client(sync_client=True) as client:
        parts = [client.read_flow_runs(), client.read_task_runs(), client.read_logs(), client.read_artifacts()]
    return repr(parts)


def _succeed(project: Path) -> None:
    result = train(str(project))
    found = json.loads((Path(result.model) / "digests.json").read_text())
    wanted = {"BLOCK_KEY": BLOCK, "LOCAL_KEY": LOCAL, "MANAGER_KEY": MANAGER}

    assert found == {name: hashlib.sha256(value.encode()).hexdigest() for name, value in wanted.items()}


def _fail(project: Path) -> None:
    with pytest.raises(JobFailed) as failed:
        train(str(project), args=["--fail"])
    said = f"{failed.value} {failed.value.detail}"

    assert not any(marker in said for marker in (BLOCK, LOCAL, MANAGER))


@pytest.mark.parametrize("run", [_succeed, _fail])
def test_secrets_are_found_only_in_the_store_of_local_jobs(
    home: Home, secret_project: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, run: Callable[[Path], None]
) -> None:
    """A script that prints them all: neither files, images, results, logs nor the server's records hold one.

    docs/security.md says where they are: the environment of jobs, which local_vertex keeps with each job.
    """
    caplog.set_level(logging.DEBUG)

    run(secret_project)

    for marker in (BLOCK, LOCAL, MANAGER):
        found = places(tmp_path, marker)
        assert {name.rpartition("/")[2].partition("-")[0] for name in found} <= {"store.db"}, found
        assert marker not in stored()
        assert marker not in caplog.text
    assert places(tmp_path, MANAGER) == set()
    assert "BLOCK_KEY ********" in caplog.text
    # The project's own pyproject.toml is a file of the image; the image's configuration has no variable of it.
    images = {name for name in places(home.root, "plain-value-1") if name.startswith("images/")}
    assert {name for name in images if not name.endswith("(inflated)")} == set()


def test_a_secret_that_cannot_be_had_stops_before_anything_is_built(home: Home, project: Path) -> None:
    """One line that names the variable and its source."""
    for source, said in (
        ("block:no-such-key", "API_KEY needs the Secret block no-such-key"),
        ("env:NOT_SET_ANYWHERE", "API_KEY needs the variable NOT_SET_ANYWHERE, which is not set"),
    ):
        (project / "pyproject.toml").write_text(f'[tool.vertex-training]\nsecret-env = {{ API_KEY = "{source}" }}\n')
        with pytest.raises(ProjectError, match=said):
            train(str(project))
    assert list(home.images.glob("blobs/sha256/*")) == []


@pytest.mark.parametrize("text", ["hunter2-the-value", "block:", "secret-manager:wandb", "env:A-B"])
def test_a_value_in_place_of_a_source_is_not_repeated(project: Path, text: str) -> None:
    """The message shows the forms, not what stands there."""
    from prefect_vertex_training.project.settings.settings import load

    (project / "pyproject.toml").write_text(f'[tool.vertex-training]\nsecret-env = {{ API_KEY = "{text}" }}\n')

    with pytest.raises(ProjectError, match=r"API_KEY in secret-env of \[.*\] must be a source") as refused:
        load(project)
    assert text not in str(refused.value) or text == "block:"


def test_the_environment_of_this_process_holds_no_secret_of_a_block(home: Home, secret_project: Path) -> None:
    """Values are handed over, not set here, where every later program would inherit them."""
    train(str(secret_project))

    assert BLOCK not in "".join(os.environ.values())
