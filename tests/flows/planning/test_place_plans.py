"""The places of a fall-back list in a run's plan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prefect_vertex_training.blocks.vertex_ai import VertexAI
from prefect_vertex_training.cli.main import main
from prefect_vertex_training.core.errors import VertexError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.flows.job_request import RunName
from prefect_vertex_training.flows.planning.place_plans import PlacePlan, place_plans
from prefect_vertex_training.flows.planning.training_plan import Place, plan_training
from prefect_vertex_training.project.snapshot import Project

RUN = RunName("run-id", "run")
SETTINGS = """\
[tool.vertex-training]
preflight = "off"
machine-type = "g2-standard-12"
accelerator-type = "NVIDIA_L4"
accelerator-count = 1
strategy = "SPOT"
wait = "10m"
fallback-bucket = "models-{region}"
[[tool.vertex-training.fallback]]
strategy = "STANDARD"
[[tool.vertex-training.fallback]]
region = "REGION"
"""


def planned(home: Home, project: Path, region: str) -> list[PlacePlan]:
    """The places of a job in us-central1 that may go to another region; nothing is sent."""
    (project / "pyproject.toml").write_text(SETTINGS.replace("REGION", region))
    block = VertexAI(project="my-project", region="us-central1", bucket="models")
    plan = plan_training(Project.open(project, home), [], Place("us-central1", "models", block), RUN)
    return place_plans(plan, [], RUN, builder="auto", facts=None)


@pytest.mark.prefect
def test_each_place_has_its_price(home: Home, project: Path) -> None:
    """In the order of the list; a place's bucket, machine and strategy are those of its job."""
    found = planned(home, project, "europe-west4")

    assert [(each.region, each.bucket, each.strategy, each.wait_seconds) for each in found] == [
        ("us-central1", "models", "SPOT", 600),
        ("us-central1", "models", "STANDARD", 600),
        ("europe-west4", "models-europe-west4", "SPOT", 600),
    ]
    rates = [each.to_dict()["usd_per_hour"] for each in found]
    assert isinstance(rates[1], float)
    text = f"STANDARD, us-central1, waits 10 min, {rates[1]:.2f} USD an hour, quota not known"
    assert str(found[1]) == f"g2-standard-12 with 1 NVIDIA_L4, {text}"


@pytest.mark.prefect
def test_a_place_that_cant_be_is_told_by_the_plan(home: Home, project: Path) -> None:
    """As by a run, in one line."""
    with pytest.raises(VertexError, match="entry 2 of the fall-back list: NVIDIA_L4 is not offered in us-south1"):
        planned(home, project, "us-south1")


@pytest.mark.prefect
def test_the_command_takes_a_list_and_a_launcher(home: Home, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Options as those of `run`; on this machine a place has no price."""
    words = ["plan", project, "--fallback", "region=europe-west4,wait=5m", "--launcher", "torchrun", "--processes", "2"]
    with pytest.raises(SystemExit) as stop:
        main([*map(str, words), "--json"])
    page = json.loads(capsys.readouterr().out)

    assert not stop.value.code
    assert [(each["region"], each["wait_seconds"], each["usd_per_hour"]) for each in page["places"]] == [
        ("us-central1", 900, None),
        ("europe-west4", 300, None),
    ]
    env = {each["name"]: each["value"] for each in page["job"]["spec"]["workerPoolSpecs"][0]["containerSpec"]["env"]}
    assert json.loads(env["VERTEX_TRAINING_LAUNCHER"])["processes"] == 2
