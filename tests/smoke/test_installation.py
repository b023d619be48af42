"""Whether the package works with the dependencies that are installed: run with the oldest and the newest ones."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.suite.module_graph import PACKAGE, ROOT, modules
from prefect_vertex_training.blocks.registry import ContainerRegistry
from prefect_vertex_training.blocks.training_job import VertexTrainingJob
from prefect_vertex_training.blocks.vertex_ai import VertexAI
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.flows.train import train

pytestmark = pytest.mark.timeout(900)  # the first server of a Prefect version migrates its database

STEPS = ["verify", "freeze", "build", "push", "submit", "watch", "receipt"]

COMMAND = Path(sys.executable).with_name("vertex-training")


def test_every_module_can_be_imported() -> None:
    """No dependency lacks a name that a module asks for when it is imported."""
    names = [PACKAGE if name == "." else f"{PACKAGE}.{name.replace('/', '.')}" for name in modules()]
    runnable = [name for name in names if not name.endswith("__main__")]

    for name in runnable:
        importlib.import_module(name)


@pytest.mark.prefect
def test_the_example_is_trained(home: Home) -> None:
    """Every step of the train flow completes, and the second run takes four of them from the first.

    Scikit-learn can load the model.
    """
    import joblib

    first = train(ROOT / "examples" / "digits", args=["--epochs", "2"])
    second = train(ROOT / "examples" / "digits", args=["--epochs", "2"])

    assert {step.name: step.state for step in first.steps} == dict.fromkeys(STEPS, "Completed")
    assert [step.name for step in second.steps if step.state == "Cached"] == STEPS[:4]
    assert hasattr(joblib.load(Path(first.model) / "model.joblib"), "predict")
    assert json.loads((Path(first.model) / "metrics.json").read_text())["epochs"] == 2


@pytest.mark.prefect
def test_blocks_are_saved_and_loaded(home: Home) -> None:
    """A block comes back from Prefect's server as it was saved."""
    registry = ContainerRegistry(host="europe-west4-docker.pkg.dev", project="my-project", repository="training")
    place = VertexAI(project="my-project", region="europe-west4", bucket="my-bucket")
    registry.save("smoke-registry", overwrite=True)
    place.save("smoke-vertex", overwrite=True)

    loaded = ContainerRegistry.load("smoke-registry")
    assert isinstance(loaded, ContainerRegistry)
    assert loaded.model_dump() == registry.model_dump()
    assert VertexAI.load("smoke-vertex").model_dump() == place.model_dump()  # pyright: ignore[reportAttributeAccessIssue]
    assert VertexTrainingJob.get_block_type_slug() == "vertex-ai-training-job"


@pytest.mark.parametrize("command", ["", "run", "deploy", "dockerfile", "setup", "orphans", "local"])
def test_each_command_explains_itself(command: str) -> None:
    """`--help` works, so the command line's library reads every parameter."""
    asked = [COMMAND, *command.split(), "--help"]
    finished = subprocess.run(asked, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)

    assert (finished.returncode, finished.stderr) == (0, "")
    assert "Usage: vertex-training" in finished.stdout
