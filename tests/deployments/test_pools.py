"""Deployments on work pools: by command, from the file, and what can't work."""

from __future__ import annotations

import os
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import yaml
from fixtures.prefect_api.worker import Worker, until
from prefect import settings
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect.states import Scheduled
from prefect_vertex_training.blocks.registry import ContainerRegistry
from prefect_vertex_training.blocks.vertex_ai import VertexAI
from prefect_vertex_training.cli.main import main
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.flows.train import train

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(600)]
FILE = Path(__file__).resolve().parents[2] / "deployments" / "prefect.yaml"


def command(*words: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `vertex-training` in this process."""
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def ended(deployment: str) -> FlowRun:
    """A run of the deployment, once it has ended."""
    with get_client(sync_client=True) as client:
        run = client.create_flow_run_from_deployment(client.read_deployment_by_name(deployment).id)

    def look() -> FlowRun | None:
        with get_client(sync_client=True) as client:
            found = client.read_flow_run(run.id)
        return found if found.state and found.state.is_final() else None

    return until(look, 300)


def test_a_deployment_on_a_pool_is_run_by_its_worker(
    worker: Worker, home: Home, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its schedule, its arguments and the project's whole path; the command ends at once."""
    name = f"nightly-{uuid4().hex[:6]}"
    words = ["deploy", project, "--name", name, "--cron", "0 2 * * *", "--work-pool", worker.pool, "--", "--epochs=2"]
    code, out, err = command(*words, capsys=capsys)

    assert (code, err) == (0, ""), err
    assert f"prefect deployment run 'train/{name}'" in out
    with get_client(sync_client=True) as client:
        made = client.read_deployment_by_name(f"train/{name}")
        client.update_deployment(made.id, _environment(home))
    assert [schedule.schedule.cron for schedule in made.schedules] == ["0 2 * * *"]  # pyright: ignore[reportAttributeAccessIssue]
    assert made.parameters == {"project": str(project), "args": ["--epochs=2"]}
    assert made.entrypoint == "prefect_vertex_training.flows.train.train"

    run = ended(f"train/{name}")
    assert run.state_name == "Completed", worker.log.read_text()[-3000:]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{}", "--cron", "every night"], ["--cron 'every night'", '"0 2 * * *"']),
        (["{}", "--work-pool", "nope"], ["no such work pool", "--work-pool nope", "prefect work-pool create nope"]),
        (["{}", "--work-pool", "boxes"], ["can't see the folder", "of type docker", "git repository"]),
        (["{}", "--work-pool", "cloud"], ["can't see the folder", "of type cloud-run-v2:push"]),
        (["https://example.com/x.git", "--work-pool", "boxes"], ["containers", "--image IMAGE"]),
        (["{}", "--image", "x"], ["--image", "--work-pool POOL"]),
        (["{}/nope"], ["no such folder", "nope"]),
        (["{}", "--ref", "main"], ["only a git repository has a branch"]),
    ],
)
def test_what_cannot_be_deployed_is_said_in_one_line(
    home: Home, project: Path, words: list[str], said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing is made."""
    with get_client(sync_client=True) as client:
        for pool, kind in (("boxes", "docker"), ("cloud", "cloud-run-v2:push")):
            client.create_work_pool(WorkPoolCreate(name=pool, type=kind), overwrite=True)
        before = len(client.read_deployments())
    code, out, err = command("deploy", *[word.format(project) for word in words], "--name", "x", capsys=capsys)

    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert (code, out, len(lines)) == (2, "", 1), err
    assert [part for part in said if part not in lines[0]] == []
    with get_client(sync_client=True) as client:
        assert len(client.read_deployments()) == before


def test_the_file_deploys_and_its_on_demand_deployment_runs(
    worker: Worker, home: Home, project: Path, tmp_path: Path
) -> None:
    """As it stands but for the pool's name, the project's folder and the blocks, by Prefect's own command."""
    ContainerRegistry(host="europe-docker.pkg.dev", project="my-project-123", repository="models").save(
        "registry", overwrite=True
    )
    VertexAI(project="my-project-123", region="europe-west4", bucket="models").save("vertex", overwrite=True)
    text = FILE.read_text().replace("name: training\n", f"name: {worker.pool}\n").replace("/srv/digits", str(project))
    text = re.sub(r"# (registry|vertex): ", r"\1: ", text)
    file = tmp_path / "prefect.yaml"
    file.write_text(text)
    env = {**os.environ, "PREFECT_API_URL": str(settings.PREFECT_API_URL.value())}
    done = subprocess.run(
        [*worker.forked, "prefect", "", "--no-prompt", "deploy", "--all", "--prefect-file", file],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

    names = [deployment["name"] for deployment in yaml.safe_load(text)["deployments"]]
    with get_client(sync_client=True) as client:
        made = {name: client.read_deployment_by_name(f"train/{name}") for name in names}
        client.update_deployment(made["digits-on-demand"].id, _environment(home))
    crons = {name: [str(found.schedule.cron) for found in made[name].schedules] for name in names}  # pyright: ignore[reportAttributeAccessIssue]
    assert crons == {"digits-nightly": ["0 2 * * *"], "digits-on-demand": [], "models-digits-weekly": ["0 3 * * 1"]}
    assert made["models-digits-weekly"].parameters["ref"] == "main"
    with get_client(sync_client=True) as client:
        later = Scheduled(scheduled_time=datetime.now(UTC) + timedelta(days=1))
        run = client.create_flow_run_from_deployment(made["models-digits-weekly"].id, state=later)
    values = train.validate_parameters(run.parameters)  # as the engine does when the run begins
    assert (values["registry"].repository, values["vertex"].region) == ("models", "europe-west4")
    run = ended("train/digits-on-demand")
    assert run.state_name == "Completed", worker.log.read_text()[-3000:]


def _environment(home: Home) -> object:
    """What the test's own home needs; a person's runs use theirs."""
    from prefect.client.schemas.actions import DeploymentUpdate

    results = str(home.root.parent / "results")
    return DeploymentUpdate(
        job_variables={"env": {"VERTEX_TRAINING_HOME": str(home.root), "PREFECT_LOCAL_STORAGE_PATH": results}}
    )
