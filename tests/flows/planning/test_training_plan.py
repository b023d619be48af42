"""The plan of a run: what a command prints is what the run does."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect_vertex_training.blocks.vertex_ai import VertexAI
from prefect_vertex_training.core.errors import ProjectError, VertexError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.flows.job_request import RunName
from prefect_vertex_training.flows.planning.plan_page import masked
from prefect_vertex_training.flows.planning.training_plan import Place, plan_training, refuse_unreachable_image
from prefect_vertex_training.flows.train import train
from prefect_vertex_training.project.snapshot import Project
from prefect_vertex_training.vertex.client.connection import Connection
from prefect_vertex_training.vertex.spec.gcloud_command import AFTER_BUILD, create_command, spec_document, to_yaml

RUN = RunName("run-id", "run")
SETTINGS = """\
[tool.vertex-training]
args = ["--epochs=2"]
machine-type = "n1-standard-8"
attempts = 2
env = { MODE = "fast", API_TOKEN = "t0k3n" }
labels = { team = "x" }
"""


def cloud() -> Place:
    """A place in the cloud; nothing is sent to it."""
    block = VertexAI(project="my-project", region="us-central1", bucket="models")
    return Place("us-central1", "models", block)


def opened(project: Path, home: Home, settings: str = SETTINGS) -> Project:
    """The project with these settings."""
    (project / "pyproject.toml").write_text(settings)
    return Project.open(project, home)


def program(forked: list[str], *words: str) -> str:
    """What `vertex-training plan` prints."""
    command = [*forked, "vertex-training", "plan", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.prefect
def test_the_run_does_what_the_plan_says(forked: list[str], home: Home, project: Path) -> None:
    """The same job, field by field, but for the run's id and the digest; planning leaves nothing and starts nothing."""
    (project / "data").mkdir()
    (project / "data" / "x.csv").write_text("1")
    (project / "pyproject.toml").write_text(SETTINGS + '[tool.vertex-training.data]\ntrain = "data/"\n')
    planned = json.loads(program(forked, str(project), "--json", "--", "--epochs=3"))
    assert not list(home.vertex.iterdir())
    assert not (home.images / "index.json").exists()

    result = train(project, args=["--epochs=3"])

    connection = Connection.local(home)
    (job,) = connection.jobs.list_custom_jobs(parent=connection.parent)
    sent = type(job.job_spec).to_dict(
        job.job_spec, preserving_proto_field_name=False, use_integers_for_enums=False,
        always_print_fields_with_no_presence=False,
    )  # fmt: skip
    (pool,) = sent["workerPoolSpecs"]
    run = re.search(r"/tiny/([0-9a-f-]{36})", json.dumps(sent))
    assert run
    text = json.dumps(planned["job"]["spec"]).replace("run-id", run[1]).replace("***", "t0k3n")
    spec = json.loads(text.replace(AFTER_BUILD, result.image.partition("@")[2]))
    assert "x.csv" not in text
    assert "/manifest" in text or "data" in text
    pool["replicaCount"] = int(pool["replicaCount"])
    spec_pool = spec["workerPoolSpecs"][0]
    assert {name: pool[name] for name in spec_pool if name != "diskSpec"} == {
        name: value for name, value in spec_pool.items() if name != "diskSpec"
    }
    assert {name: sent[name] for name in spec if name != "workerPoolSpecs"} == {
        name: value for name, value in spec.items() if name != "workerPoolSpecs"
    }
    again = json.loads(program(forked, str(project), "--json", "--", "--epochs=3"))
    assert again["image"]["reference"] == result.image
    assert again["image"]["fingerprint"] == planned["image"]["fingerprint"]


@pytest.mark.prefect
def test_the_page_says_what_a_person_wants_to_know(forked: list[str], home: Home, project: Path) -> None:
    """Start, arguments, files, dependencies, image, job, cost, and no secret."""
    data = '[tool.vertex-training.data]\ntrain = "data/"\nval = { path = "val", mode = "mount" }\n'
    (project / "pyproject.toml").write_text(SETTINGS + data)
    (project / "requirements.txt").write_text("six==1.16.0\n")
    for name in ("data", "val"):
        (project / name).mkdir()
        (project / name / "x.csv").write_text("1")

    page = program(forked, str(project), "--", "--model dir", "x")

    rows = {line[:13].strip(): line[13:] for line in page.split("\n\n")[0].splitlines() if line[:13].strip()}
    assert rows["start"] == "train.py"
    assert rows["arguments"] == "--epochs=2 '--model dir' x"
    assert rows["files"].startswith("3 files with")
    assert rows["dependencies"] == "1 package of requirements.txt for Python 3.11"
    assert [line[13:] for line in page.splitlines() if line.startswith("data  ")] == [
        "train: data, mode by its sizes",
        "val: val, mode mount",
    ]
    assert rows["image"].startswith("direct, would be built: 0 of 1 packages ready, 1 to download")
    assert re.search(r"up to \d+\.\d MB to send, about \d+ s on a fast network$", rows["image"])
    assert rows["job"] == "n1-standard-8, STANDARD, this machine, at most 24 h, 2 attempts"
    assert rows["cost"] == "nothing: the job runs on this machine"
    assert "t0k3n" not in page
    spec = page.partition("as job.yaml:\n")[2].partition("The same by hand:")[0]
    assert yaml.safe_load(spec)["workerPoolSpecs"][0]["machineSpec"] == {"machineType": "n1-standard-8"}


def test_a_secret_among_the_arguments_is_refused_as_by_a_run(forked: list[str], home: Home, project: Path) -> None:
    """It is neither printed nor sent."""
    token = "hf" + "_" + "qWzRkTmPxLvBnHsJdFgYcUeOiAoKlMwEbX"
    command = [*forked, "vertex-training", "plan", str(project), "--", f"--token={token}"]

    done = subprocess.run(command, check=False, capture_output=True, text=True)

    assert done.returncode == 2
    assert token not in done.stdout + done.stderr
    assert "secret-env" in done.stderr


def test_a_job_in_the_cloud_has_a_price(home: Home, project: Path) -> None:
    """By its machine, its time limit and its attempts; unknown is said, and a newer size is a warning."""
    known = plan_training(opened(project, home), [], cloud(), RUN)
    newer = plan_training(
        opened(project, home, '[tool.vertex-training]\nmachine-type = "n2-standard-12"\n'), [], cloud(), RUN
    )

    assert str(known.cost) == "at most 22.26 USD for 24 h x 2 starts"
    assert known.warnings == ()
    assert str(newer.cost) == "unknown: no price of n2-standard-12"
    assert "n2-standard-12 is not among the machine types" in newer.warnings[0]


def test_what_is_impossible_stops_before_anything_is_built(home: Home, project: Path) -> None:
    """A machine that can't be, and an image that the cloud can't reach."""
    wrong = opened(project, home, '[tool.vertex-training]\nmachine-type = "cloud-tpu"\n')

    with pytest.raises(VertexError, match="cloud-tpu needs TPU_V2"):
        plan_training(wrong, [], cloud(), RUN)
    with pytest.raises(ProjectError, match="can't reach an image on this machine"):
        refuse_unreachable_image(cloud().block, None)


def test_the_command_and_the_file_for_gcloud(home: Home, project: Path) -> None:
    """As `gcloud ai custom-jobs create --config` takes them: names of the API, numbers as numbers, secrets hidden."""
    job = plan_training(opened(project, home), ["--note=it's"], cloud(), RUN).job

    document = spec_document(job, None, unbuilt=f"repository/tiny@{AFTER_BUILD}", local=False, mask=masked)
    command = create_command(job, project="my-project", region="us-central1")

    back: dict[str, Any] = yaml.safe_load(to_yaml(document))
    (pool,) = back["workerPoolSpecs"]
    assert back == document
    assert pool["containerSpec"]["imageUri"] == "repository/tiny@(after build)"
    assert pool["containerSpec"]["args"] == ["--epochs=2", "--note=it's"]
    assert {"name": "API_TOKEN", "value": "***"} in pool["containerSpec"]["env"]
    assert pool["replicaCount"] == 1
    assert command == (
        "gcloud ai custom-jobs create --project=my-project --region=us-central1 '--display-name=tiny run run-id' "
        "--config=job.yaml --labels=prefect_flow_run=run-id,team=x,"
        "vertex_training_prices=built-in_table_of_2026-11-29,vertex_training_rate=463779"
    )
