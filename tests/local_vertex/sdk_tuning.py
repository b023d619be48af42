"""What Google's unmodified SDK must be able to do with tuning jobs; a program with the arguments of sdk_conformance.

The program of a trial reports in the file that CLOUD_ML_HP_METRIC_FILE names, as the package cloudml-hypertune does.
"""

from __future__ import annotations

import json
import sys
import uuid

import pytest
from google.api_core.exceptions import BadRequest, NotFound
from google.cloud import aiplatform
from google.cloud.aiplatform import hyperparameter_tuning as tuning
from google.cloud.aiplatform_v1.types import JobState, Trial
from sdk_conformance import init

REPORTING = """
import json, os, sys, time
given = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:])
if given.get("kind") == "broken":
    raise SystemExit(3)
path = os.environ["CLOUD_ML_HP_METRIC_FILE"]
os.makedirs(os.path.dirname(path), exist_ok=True)
for step in (1, 2):
    with open(path, "a") as file:
        value = 1 - abs(float(given["lr"]) - 0.1) + step / 1000
        file.write(json.dumps({"timestamp": time.time(), "trial": os.environ["CLOUD_ML_TRIAL_ID"], "score": str(value),
                               "global_step": str(step), "checkpoint_path": ""}) + chr(10))
"""
HANG = "import time; time.sleep(600)"


def make(image: str, code: str, **fields: object) -> aiplatform.HyperparameterTuningJob:
    """A tuning job whose trials run Python code."""
    container = {"image_uri": image, "command": ["python3", "-c", code]}
    pool = {"replica_count": 1, "machine_spec": {"machine_type": "n1-standard-4"}, "container_spec": container}
    job = aiplatform.CustomJob(display_name="trial", worker_pool_specs=[pool])
    options = {
        "metric_spec": {"score": "maximize"},
        "parameter_spec": {
            "lr": tuning.DoubleParameterSpec(min=1e-3, max=1.0, scale="log"),
            "batch": tuning.DiscreteParameterSpec(values=[16, 32], scale="linear"),
            "depth": tuning.IntegerParameterSpec(min=1, max=3, scale="linear"),
        },
        "max_trial_count": 4,
        "parallel_trial_count": 2,
        **fields,
    }
    return aiplatform.HyperparameterTuningJob(display_name="tuning", custom_job=job, **options)  # pyright: ignore[reportArgumentType]


def a_run_ends_with_the_metric_of_every_trial(image: str) -> None:
    """Each trial ran as a custom job with its own parameters; its last measurement is its result."""
    key = uuid.uuid4().hex
    job = make(image, REPORTING, labels={"key": key}, measurement_selection="last")
    job.run()
    assert job.state == JobState.JOB_STATE_SUCCEEDED
    assert [trial.id for trial in job.trials] == ["1", "2", "3", "4"]
    assert {trial.state for trial in job.trials} == {Trial.State.SUCCEEDED}
    for trial in job.trials:
        values = {each.parameter_id: each.value for each in trial.parameters}
        assert values.keys() == {"lr", "batch", "depth"}
        assert trial.final_measurement.step_count == 2
        (metric,) = trial.final_measurement.metrics
        assert metric.metric_id == "score"
        assert metric.value == pytest.approx(1 - abs(values["lr"] - 0.1) + 0.002)
        assert aiplatform.CustomJob.get(trial.custom_job).state == JobState.JOB_STATE_SUCCEEDED
    found = aiplatform.HyperparameterTuningJob.list(filter=f"labels.key={key}")
    assert [each.resource_name for each in found] == [job.resource_name]
    name = job.resource_name
    job.delete()
    with pytest.raises(NotFound):
        aiplatform.HyperparameterTuningJob.get(name)


def a_cancelled_one_ends_with_its_trials(image: str) -> None:
    """No trial's job is left when it has ended; a live one can't be deleted."""
    job = make(image, HANG)
    job.run(sync=False)
    job.wait_for_resource_creation()
    with pytest.raises(BadRequest):
        job.api_client.delete_hyperparameter_tuning_job(name=job.resource_name)
    job.cancel()
    with pytest.raises(RuntimeError):
        job._block_until_complete()
    assert job.state == JobState.JOB_STATE_CANCELLED
    for trial in job.trials:
        assert aiplatform.CustomJob.get(trial.custom_job).state == JobState.JOB_STATE_CANCELLED


def trials_that_fail_end_it(image: str) -> None:
    """As many failed trials as allowed end it FAILED; a trial that reports nothing is infeasible."""
    job = make(
        image, REPORTING, parameter_spec={"kind": tuning.CategoricalParameterSpec(values=["broken", "other"])},
        search_algorithm="grid", max_failed_trial_count=2,
    )  # fmt: skip
    with pytest.raises(RuntimeError):
        job.run()
    assert job.state == JobState.JOB_STATE_FAILED
    assert {trial.state for trial in job.trials} == {Trial.State.INFEASIBLE}


def wrong_studies_are_refused(image: str) -> None:
    """A logarithmic scale from 0, and a grid over doubles."""
    for spec, options in (
        ({"lr": tuning.DoubleParameterSpec(min=0, max=1, scale="log")}, {}),
        ({"lr": tuning.DoubleParameterSpec(min=0, max=1, scale="linear")}, {"search_algorithm": "grid"}),
    ):
        with pytest.raises(BadRequest):
            make(image, REPORTING, parameter_spec=spec, **options).run()


CHECKS = [
    a_run_ends_with_the_metric_of_every_trial,
    a_cancelled_one_ends_with_its_trials,
    trials_that_fail_end_it,
    wrong_studies_are_refused,
]

if __name__ == "__main__":
    chosen = json.loads(sys.argv[1])
    aiplatform.jobs._JOB_WAIT_TIME = chosen.get("poll", 5)  # seconds between two looks at a job
    init(**chosen["init"])
    for check in CHECKS:
        check(chosen["image"])
        print("passed", check.__name__, flush=True)
