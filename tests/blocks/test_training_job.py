"""A training job as a Prefect JobBlock, against a scripted service and a real object store."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.google.object_store import object_store  # noqa: F401 - a fixture
from fixtures.google.scripted_vertex import TinyVertex, serve
from fixtures.images.script_image import script_image
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.aiplatform_v1 import JobState
from google.rpc.status_pb2 import Status
from prefect import flow
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import BlockDocumentCreate, BlockSchemaCreate
from prefect.utilities.dispatch import get_registry_for_type
from prefect_vertex_training.blocks.training_job import VertexTrainingJob, VertexTrainingJobRun
from prefect_vertex_training.blocks.vertex_ai import VertexAI
from prefect_vertex_training.core.errors import JobFailed, ModelMissing, ProjectError, VertexError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.core.job_options import Machine
from prefect_vertex_training.local_vertex import lifecycle
from prefect_vertex_training.vertex.submit.spending import billed
from prefect_vertex_training.vertex.submit.submission import job_key

IMAGE = f"europe-docker.pkg.dev/p/r/digits@sha256:{'a' * 64}"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, object]]:
    """Where the scripted service listens, and the place behind it."""
    with serve(f"unix:{tmp_path_factory.mktemp('wire')}/s") as wire:
        yield wire.target, wire


@pytest.fixture
def vertex(target: tuple[str, object]) -> TinyVertex:
    """An empty service in real time."""
    vertex = TinyVertex(time.time)
    target[1].vertex = vertex  # pyright: ignore[reportAttributeAccessIssue]
    return vertex


@pytest.fixture
def job(
    target: tuple[str, object], vertex: TinyVertex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> VertexTrainingJob:
    """A block that leads to the scripted service; what it records goes into a folder of its own."""
    monkeypatch.setenv("VERTEX_TRAINING_HOME", str(tmp_path / "home"))
    vertex_ai = VertexAI(project="my-project", region="europe-west4", bucket="models", endpoint=target[0])
    return VertexTrainingJob(vertex_ai=vertex_ai, image=IMAGE, args=["--epochs", "3"], output="gs://models/run")


@pytest.fixture
def bucket(object_store: str, monkeypatch: pytest.MonkeyPatch) -> storage.Bucket:  # noqa: F811 - the fixture
    """The bucket that the job writes to."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", object_store)
    client = storage.Client(project="p", credentials=AnonymousCredentials())
    return client.bucket("models") if client.lookup_bucket("models") else client.create_bucket("models")


def test_from_trigger_to_result(job: VertexTrainingJob, vertex: TinyVertex, bucket: storage.Bucket) -> None:
    """Submitted, followed, and its model listed."""
    bucket.blob("run/model/m.bin").upload_from_string(b"weights")
    run = job.trigger()
    assert not run.adopted
    vertex.say("epoch 1")
    vertex.jobs()[0].state = JobState.JOB_STATE_SUCCEEDED

    run.wait_for_completion()
    result = run.fetch_result()

    assert run.outcome is not None
    assert list(run.outcome.tail) == ["epoch 1"]
    assert (result.model, [file.path for file in result.files]) == ("gs://models/run/model", ["m.bin"])
    assert list(vertex.jobs()[0].job_spec.worker_pool_specs[0].container_spec.args) == ["--epochs", "3"]
    bucket.blob("run/model/m.bin").delete()


def test_a_cap_becomes_the_jobs_time_limit(job: VertexTrainingJob, vertex: TinyVertex) -> None:
    """By the list price; with another cap it is the same job, and without a price nothing is sent."""
    job.machine_type, job.accelerator_type, job.accelerator_count = "g2-standard-4", "NVIDIA_L4", 1
    job.max_cost = 0.5
    job.trigger(key=job_key("capped"))
    sent = vertex.jobs()[0]
    assert 0.4 < (billed(sent).most(time.time()) or 0) <= 0.5

    key = job._text_for_key()
    job.max_cost = 9.0
    assert job._text_for_key() == key
    job.machine_type, job.accelerator_type, job.accelerator_count = "n1-standard-4", None, 0
    with pytest.raises(VertexError, match=r"max-cost is 9\.00 USD, and the price of the job is unknown"):
        job.trigger(key=job_key("unpriced"))
    assert len(vertex.jobs()) == 1


def test_a_secret_variable_reaches_the_job_alone(
    job: VertexTrainingJob, vertex: TinyVertex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The block and its key have the source; the job's environment has the value."""
    plain = job._text_for_key()
    monkeypatch.setenv("OF_THIS_MACHINE", "s3cr3t-value")
    job.secret_env = {"WANDB_API_KEY": "env:OF_THIS_MACHINE"}
    job.trigger(key=job_key("secret"))

    sent = {entry.name: entry.value for entry in vertex.jobs()[0].job_spec.worker_pool_specs[0].container_spec.env}
    assert sent["WANDB_API_KEY"] == "s3cr3t-value"
    assert "secret_env" not in plain
    assert "env:OF_THIS_MACHINE" in job._text_for_key()
    assert "s3cr3t-value" not in job.model_dump_json()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"secret_env": {"KEY": "hunter2-itself-9"}},
            r"a source of a secret is .*\(secret_env of the job block, KEY\)",
        ),
        ({"secret_env": {"KEY": "env:X"}, "env": {"KEY": "x"}}, "the secret variable KEY is in env as well"),
        ({"secret_env": {"NOT A NAME": "env:X"}}, "NOT A NAME is not a variable's name"),
    ],
)
def test_a_wrong_source_is_refused_without_its_text(given: dict[str, dict[str, str]], message: str) -> None:
    """It may be the secret itself."""
    with pytest.raises(ProjectError, match=message) as error:
        VertexTrainingJob(image=IMAGE, **given)  # pyright: ignore[reportArgumentType]

    assert "hunter2" not in str(error.value)


def test_a_failed_job_raises_with_its_diagnosis(job: VertexTrainingJob, vertex: TinyVertex) -> None:
    """Waiting for it and asking for its result both say so."""
    run = job.trigger()
    failed = vertex.jobs()[0]
    failed.state = JobState.JOB_STATE_FAILED
    failed.error = Status(code=8, message="Resources are insufficient in region: europe-west4.")

    with pytest.raises(JobFailed, match="no machine of this kind was free in europe-west4") as caught:
        run.wait_for_completion()
    assert caught.value.transient
    with pytest.raises(JobFailed):
        run.fetch_result()


def test_no_result_before_the_end(job: VertexTrainingJob) -> None:
    """A running job has none, and says what to call first."""
    run = job.trigger()

    with pytest.raises(VertexError, match="Call wait_for_completion first"):
        run.fetch_result()


def test_a_job_without_a_model(job: VertexTrainingJob, vertex: TinyVertex, bucket: storage.Bucket) -> None:
    """Success without a model is no success."""
    run = job.trigger()
    vertex.jobs()[0].state = JobState.JOB_STATE_SUCCEEDED

    with pytest.raises(ModelMissing, match="gs://models/run/model/"):
        run.fetch_result()


def test_cancel_ends_the_job(job: VertexTrainingJob, vertex: TinyVertex) -> None:
    """The base class has no cancel; this one confirms it."""
    assert job.trigger().cancel() == "JOB_STATE_CANCELLED"
    assert vertex.live() == []


def test_a_run_is_found_again_by_its_name(job: VertexTrainingJob, vertex: TinyVertex) -> None:
    """From any process, with nothing but the name."""
    again = VertexTrainingJobRun.from_job_name(job.trigger().name, job.vertex_ai)

    assert again.cancel() == "JOB_STATE_CANCELLED"


def test_another_name_is_refused() -> None:
    """A pipeline's name is not a custom job's."""
    with pytest.raises(VertexError, match="customJobs/ID"):
        VertexTrainingJobRun.from_job_name("projects/1/locations/x/pipelineJobs/2")


def test_outside_a_flow_every_trigger_is_a_new_job(job: VertexTrainingJob, vertex: TinyVertex) -> None:
    """Unless a key says that two are the same."""
    first, second = job.trigger(), job.trigger()
    third, fourth = job.trigger(key="t1"), job.trigger(key="t1")

    assert len({run.name for run in (first, second, third, fourth)}) == 3
    assert (third.adopted, fourth.adopted) == (False, True)


def test_an_attempt_of_the_same_flow_run_finds_its_job(
    job: VertexTrainingJob, vertex: TinyVertex, prefect_server: str
) -> None:
    """A flow that failed after its trigger continues with the job that it had submitted."""
    runs: list[VertexTrainingJobRun] = []

    @flow(retries=1, retry_delay_seconds=0)
    def fragile() -> None:
        runs.append(job.trigger())
        if len(runs) == 1:
            raise RuntimeError("the machine is lost")

    fragile()

    assert [run.adopted for run in runs] == [False, True]
    assert len(vertex.jobs()) == 1


async def _use(job: VertexTrainingJob, vertex: TinyVertex) -> str:
    run = await job.trigger()  # pyright: ignore[reportGeneralTypeIssues]
    assert len(vertex.jobs()) == 1
    return await run.cancel()


def test_all_of_it_works_in_async_code(job: VertexTrainingJob, vertex: TinyVertex) -> None:
    """The same methods are awaited there, and don't block the loop."""
    import asyncio

    assert asyncio.run(_use(job, vertex)) == "JOB_STATE_CANCELLED"


def test_without_a_vertex_block_the_job_runs_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same block, no account: local_vertex runs it, and the model is a folder here."""
    monkeypatch.setenv("VERTEX_TRAINING_HOME", str(tmp_path / "home"))
    home = Home.default()
    script = tmp_path / "train.py"
    script.write_text(
        "import os, pathlib\n"
        "folder = pathlib.Path(os.environ['AIP_MODEL_DIR'].replace('gs://', '/gcs/'))\n"
        "folder.mkdir(parents=True, exist_ok=True)\n"
        "(folder / 'm.bin').write_bytes(b'weights')\n"
    )
    image = script_image(script, home.images, home.cache)
    try:
        run = VertexTrainingJob(image=image).trigger()
        run.wait_for_completion()
        model = run.fetch_result()
    finally:
        lifecycle.stop(home)

    assert (Path(model.model) / "m.bin").read_bytes() == b"weights"
    assert Path(model.model).is_relative_to(home.vertex)


def test_prefect_lists_our_block_types_and_no_other() -> None:
    """A generic base with its parameter, JobBlock[Receipt], would be a type of its own in the UI's catalogue."""
    kinds = [kind for kind in (get_registry_for_type(Block) or {}).values() if "vertex_training" in kind.__module__]

    assert {kind.get_block_type_slug() for kind in kinds} == {
        "container-registry-for-training",
        "vertex-ai-training",
        "vertex-ai-training-job",
    }


PLANTED = "ghp_" + "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC2dF4hJ6"


@pytest.mark.parametrize(
    "given",
    [
        {"args": ["--token", PLANTED]},
        {"args": [f"--api-token={PLANTED}"]},
        {"command": ["sh", "-c", f"curl -H 'Authorization: Bearer {PLANTED}' https://example.com"]},
        {"env": {"HUB": PLANTED}},
    ],
)
def test_a_secret_in_a_field_is_refused_before_it_is_stored(given: dict[str, list[str]]) -> None:
    """One line without the secret, and the entry of `allow_secrets` that lets it pass."""
    with pytest.raises(ProjectError, match=r"looks like a secret .*Save it in Secret Manager") as refused:
        VertexTrainingJob(image=IMAGE, **given)  # pyright: ignore[reportArgumentType]

    said = f"{refused.value}\n{refused.value.detail}"
    assert PLANTED not in said
    entries = re.findall(r"(?:args|command|env)#[0-9a-f]{12}", said)
    assert VertexTrainingJob(image=IMAGE, allow_secrets=entries, **given).image == IMAGE  # pyright: ignore[reportArgumentType]


SAVED = {
    "display_name": "training",
    "image": IMAGE,
    "args": ["--epochs", "3"],
    "command": [],
    "env": {},
    "labels": {"team": "x"},
    "machine_type": "n1-standard-4",
    "accelerator_type": "NVIDIA_TESLA_T4",
    "accelerator_count": 2,
    "boot_disk_gb": 100,
    "boot_disk_type": None,
    "tpu_topology": None,
    "replicas": 1,
    "pools": {
        "evaluator": {"machine": None, "replicas": 1, "image": None},
        "server": {
            "machine": {
                "machine_type": "n1-highcpu-16",
                "accelerator_type": None,
                "accelerator_count": 0,
                "boot_disk_gb": 100,
                "boot_disk_type": None,
                "tpu_topology": None,
            },
            "replicas": 2,
            "image": "x",
        },
    },
    "timeout": 86400.0,
    "strategy": "SPOT",
    "max_wait": None,
    "restarts": "none",
    "attempts": 3,
    "web_access": False,
    "output": "gs://b/o",
}
"""The document of a block as version 0.1.0 saved it."""


def test_a_block_saved_by_another_version_is_loaded(prefect_server: str) -> None:
    """Its schema had other descriptions; its fields arrive as they were."""
    VertexTrainingJob.register_type_and_schema()
    with get_client(sync_client=True) as client:
        now = client.read_block_schema_by_checksum(VertexTrainingJob._calculate_schema_checksum())
        fields = {**now.fields, "description": "A training job, as described before."}
        before = client.create_block_schema(
            BlockSchemaCreate(fields=fields, block_type_id=now.block_type_id, capabilities=now.capabilities)
        )
        client.create_block_document(
            BlockDocumentCreate(
                name="of-before", data=SAVED, block_schema_id=before.id, block_type_id=now.block_type_id
            )
        )

    loaded = VertexTrainingJob.load("of-before")

    values = loaded.model_dump(mode="json", include=set(SAVED))
    assert values["pools"]["server"]["machine"].pop("reservation") is None
    assert values == SAVED
    assert loaded.pools["server"].machine == Machine("n1-highcpu-16")


def test_a_trigger_has_the_key_of_the_version_before() -> None:
    """A flow run that version 0.1.0 began finds its job: the fields, their order and their values make the key."""
    block = VertexTrainingJob.model_validate(SAVED)

    assert job_key("flow-run", block._text_for_key()) == "t94279d87f6c99d1aa5459c5644e1cebd3e9f964d"
