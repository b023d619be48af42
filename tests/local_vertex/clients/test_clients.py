"""Clients that nobody here wrote, with their code unchanged, in the environment of `local exec`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect_vertex_training.core.job_options import Machine
from prefect_vertex_training.vertex.job_types import JobDescription
from prefect_vertex_training.vertex.spec.gcloud_command import create_command, spec_document, to_yaml

PROGRAMS = Path(__file__).with_name("programs")
DONE = r"projects/\d+/locations/europe-west4"


@pytest.fixture(scope="module")
def launcher(cloud: Any, python_client: Callable[[str], Path]) -> Iterator[subprocess.Popen[str]]:
    """Kubeflow's launcher, started before the other clients: it looks at its job every 20 seconds only."""
    pool = {"machine_spec": {"machine_type": "n1-standard-4"}, "container_spec": {"image_uri": cloud.image}}
    payload = {"display_name": "launcher", "job_spec": {"worker_pool_specs": [{**pool, "replica_count": 1}]}}
    process = cloud.start(
        *(str(python_client("launcher-2.22")), "-m"),
        "google_cloud_pipeline_components.container.v1.custom_job.launcher",
        *("--type", "CustomJob", "--project", "my-project", "--location", "us-central1"),
        *("--payload", json.dumps(payload), "--gcp_resources", str(cloud.scratch / "gcp_resources")),
    )
    yield process
    process.kill()
    process.wait()


# First, so that it waits beside the others; its result is read last.
def test_kubeflows_launcher_starts(launcher: subprocess.Popen[str]) -> None:
    """Its container's command starts."""
    assert launcher.poll() is None


@pytest.mark.parametrize("version", ["sdk-1.71", "newest"])
def test_googles_sdk(cloud: Any, python_client: Callable[[str], Path], version: str) -> None:
    """Jobs, pipelines and a script's package, with the oldest and the newest SDK, over both transports."""
    python = sys.executable if version == "newest" else str(python_client(version))
    extra = ["--package"] if version == "newest" else []
    said = cloud.run(python, str(PROGRAMS / "sdk.py"), cloud.image, *extra)

    assert len(re.findall(rf"^CustomJob JOB_STATE_SUCCEEDED {DONE}/customJobs/\d+$", said, re.MULTILINE)) == 2, said
    assert re.search(
        rf"^CustomContainerTrainingJob PIPELINE_STATE_SUCCEEDED {DONE}/trainingPipelines/", said, re.MULTILINE
    )
    assert "listed grpc True" in said
    assert "listed rest True" in said
    assert ("staged True" in said) == bool(extra)
    assert ("\nCustomTrainingJob PIPELINE_STATE_SUCCEEDED" in said) == bool(extra)


def test_gcsfs(cloud: Any) -> None:
    """Files of a bucket, as pandas and fsspec reach them, too."""
    said = cloud.run(sys.executable, str(PROGRAMS / "gcsfs_files.py"))

    assert said.splitlines()[-1] == r"['local/gcsfs/copy.csv'] b'a,b\n1,2\n'"


def test_node(cloud: Any, node_client: Path) -> None:
    """Google's client for Node runs a job, and gets the texts of errors."""
    said = cloud.run("node", str(PROGRAMS / "node.mjs"), str(node_client)).splitlines()

    assert said[0] == "JOB_STATE_SUCCEEDED pd-ssd"
    assert said[1].startswith(
        '3 "List of found errors:\\t1.Field: display_name; Message: The display name is required.'
    )
    assert said[2] == '3 "List of found errors:\\t1.Field: name; Message: Invalid CustomJob resource name.\\t"'


def test_prefect_gcps_worker(cloud: Any) -> None:
    """The worker of prefect-gcp runs a flow run as a job, and sees its end."""
    said = cloud.run(
        sys.executable,
        str(PROGRAMS / "worker.py"),
        PREFECT_HOME=str(cloud.scratch / "prefect"),
        PREFECT_LOGGING_TO_API_ENABLED="false",
    )

    assert "status 0" in said


def test_gcloud(cloud: Any, gcloud: str) -> None:
    """Gcloud creates a job, streams its log to the end, lists and reads it; it stores a file and reads it back."""
    said = cloud.run("bash", str(PROGRAMS / "gcloud.sh"), PATH=f"{Path(gcloud).parent}{os.pathsep}{os.environ['PATH']}")
    lines = said.splitlines()

    assert [line for line in lines if line.endswith("\ttrained")]
    assert [line for line in lines if line.endswith("Job completed successfully.")]
    assert lines.count("JOB_STATE_SUCCEEDED") == 1
    assert "trained" in lines
    assert "copied" in lines


def sent_part(made: Any, sent: Any) -> Any:
    """What the service made of the fields that were sent, without its defaults for others."""
    if not isinstance(made, dict) or not isinstance(sent, dict):
        return made
    return {name: sent_part(made.get(name), value) for name, value in sent.items()}


def test_gcloud_takes_the_yaml_of_a_plan(cloud: Any, gcloud: str) -> None:
    """The file and the command that `plan` prints make the same job, field by field."""
    job = JobDescription(
        display_name="planned job",
        output="gs://local/planned",
        args=["--note=it's", "--epochs", "2"],
        env={"MODE": "fast"},
        machine=Machine("n1-standard-8", "NVIDIA_TESLA_T4", 1),
        timeout=600,
        strategy="SPOT",
        labels={"team": "x", "vertex_training_rate": "463779"},
    )
    document = spec_document(job, cloud.image, unbuilt="", local=True, mask=lambda _, value: value)
    (cloud.scratch / "job.yaml").write_text(to_yaml(document))
    path = f"{Path(gcloud).parent}{os.pathsep}{os.environ['PATH']}"

    create = create_command(job, project="my-project", region="us-central1")
    name = cloud.run("bash", "-c", f"{create} --format='value(name)' 2>/dev/null", PATH=path).strip()
    described = cloud.run(
        "bash", "-c", f"gcloud ai custom-jobs describe {name} --region=us-central1 --format=json 2>/dev/null", PATH=path
    )

    made = json.loads(described)
    (pool,), (wanted,) = made["jobSpec"].pop("workerPoolSpecs"), document.pop("workerPoolSpecs")
    assert (made["displayName"], made["labels"]) == ("planned job", job.labels)
    pool["replicaCount"] = int(pool["replicaCount"])
    # The service adds its defaults, and nothing of what was sent is lost or changed.
    assert sent_part(made["jobSpec"], document) == document
    assert sent_part(pool, wanted) == wanted


def test_kubeflows_launcher(cloud: Any, launcher: subprocess.Popen[str]) -> None:
    """The launcher of Kubeflow's components sees its job succeed, and says where it is."""
    output, errors = launcher.communicate(timeout=150)

    assert launcher.returncode == 0, f"{output}{errors}"[-3000:]
    assert "/customJobs/" in (cloud.scratch / "gcp_resources").read_text()


def test_hosts_of_others_are_refused(cloud: Any) -> None:
    """Another host is out of reach, and the proxy says why; a real bucket's host is not reached either."""
    said = cloud.start("curl", "-sS", "https://example.com/").communicate(timeout=60)

    assert "403" in said[1]
