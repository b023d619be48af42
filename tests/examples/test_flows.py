"""The example flows, each on a real Prefect server, with jobs in local_vertex."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from prefect_vertex_training import VertexTrainingJob, train
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.vertex.client.connection import Connection

pytestmark = pytest.mark.prefect

FLOWS = Path(__file__).parents[2] / "examples" / "flows"
RATED = """\
import argparse, json, os, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float, default=1.0)
parser.add_argument("--epochs", type=int, default=1)
options = parser.parse_args()
for epoch in (1, 2):
    print(json.dumps({"epoch": epoch, "loss": options.rate / epoch}), flush=True)
folder = pathlib.Path(os.environ["AIP_MODEL_DIR"].replace("gs://", "/gcs/"))
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.json").write_text(json.dumps(vars(options)))
"""


def example(name: str) -> ModuleType:
    """An example as a module, importable under its name, as Dask's processes need it."""
    path = FLOWS / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def rated(project: Path) -> str:
    """The project with a script that prints a loss for its rate."""
    (project / "train.py").write_text(RATED)
    return str(project)


def rates(home: Home) -> list[str]:
    """The arguments of every job, sorted."""
    connection = Connection.local(home)
    jobs = connection.jobs.list_custom_jobs(parent=connection.parent)
    return sorted(job.job_spec.worker_pool_specs[0].container_spec.args[1] for job in jobs)


def test_mapped_trainings_are_compared(home: Home, rated: str) -> None:
    """Each has a job of its own, at the same time, and the best is known by its metrics."""
    best = example("compare").compare(rated, [0.3, 0.1])

    assert (best.metrics["loss"].lowest, best.metrics["loss"].highest) == (0.05, 0.1)
    assert rates(home) == ["0.1", "0.3"]


def test_an_asynchronous_flow_goes_on_meanwhile(home: Home, rated: str) -> None:
    """Its event loop is free while two trainings run."""
    beats: list[float] = []

    async def beat() -> None:
        while True:
            beats.append(asyncio.get_running_loop().time())
            await asyncio.sleep(0.05)

    async def both() -> float:
        heart = asyncio.create_task(beat())
        best = await example("compare_async").compare(rated, [0.3, 0.1])
        heart.cancel()
        return best.metrics["loss"].lowest

    assert asyncio.run(both()) == 0.05
    assert rates(home) == ["0.1", "0.3"]
    assert len(beats) > 10


def test_dask_runs_trainings(home: Home, rated: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In processes of their own, whose results come back."""
    from prefect_dask import DaskTaskRunner  # takes seconds, which each of pytest's processes would pay

    monkeypatch.syspath_prepend(FLOWS)
    monkeypatch.setenv("PYTHONPATH", str(FLOWS))

    module = example("on_dask")
    one = DaskTaskRunner(cluster_kwargs={"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None})
    best = module.compare.with_options(task_runner=one)(rated, [0.1])

    assert best.metrics["loss"].lowest == 0.05
    assert rates(home) == ["0.1"]


def test_steps_work_alone(home: Home, rated: str) -> None:
    """A flow of single steps ends with the model."""
    found = json.loads(example("own_steps").own_steps(rated, epochs=2))

    assert json.loads((Path(found["model"]) / "model.json").read_text())["epochs"] == 2


def test_the_job_block_works_in_both_kinds_of_flows(home: Home, rated: str) -> None:
    """With the image of an earlier run."""
    result = train(rated)
    VertexTrainingJob(image=result.image).save("example-job", overwrite=True)
    module = example("job_block")

    models = {module.run_job("example-job"), asyncio.run(module.run_job_async("example-job"))}

    assert len(models) == 2
    assert all((Path(model) / "model.json").exists() for model in models)
