"""The receipt step: a model in a bucket is a Prefect asset, one in a folder is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect.tasks import MaterializingTask
from prefect_vertex_training.tasks.receipt import page, receipt, receipt_step
from prefect_vertex_training.vertex.client.connection import Connection
from prefect_vertex_training.vertex.client.endpoints import LocalEndpoint
from prefect_vertex_training.vertex.job_types import JobRequest, ModelFile, Receipt


def connection(buckets: Path | None) -> Connection:
    """Leads nowhere; only its store is looked at."""
    place = LocalEndpoint("my-project", "europe-west4", "b", "unix:/nowhere", None, buckets)
    return Connection(lambda: place, None)  # pyright: ignore[reportArgumentType]


def request(output: str, *args: str, **env: str) -> JobRequest:
    """A job with that output."""
    return JobRequest(display_name="digits", output=output, args=list(args), env=env, image="i@sha256:0")


@pytest.mark.parametrize(
    ("args", "env"),
    [
        (["--data=gs://models/data", "--model-dir=gs://models/mine"], {}),
        (["--log-dir", "gs://models/logs", "--export_dir", "gs://models/mine/"], {}),
        (["out_file=/gcs/models/mine/model.pt"], {}),
        ([], {"OUTPUT_DIR": "gs://models/mine"}),
    ],
)
def test_the_place_that_the_arguments_name_is_the_asset(
    monkeypatch: pytest.MonkeyPatch, args: list[str], env: dict[str, str]
) -> None:
    """The model lies there, not in the folder of the run."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    step = receipt_step(connection(None), request("gs://models/digits/run-1", *args, **env))

    assert isinstance(step, MaterializingTask)
    assert [asset.key for asset in step.assets] == ["gs://models/mine"]


def test_a_model_in_a_bucket_is_an_asset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its key is the model's address; Prefect tells of it when the step has succeeded."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    step = receipt_step(connection(None), request("gs://models/digits/run-1/"))

    assert isinstance(step, MaterializingTask)
    assert [asset.key for asset in step.assets] == ["gs://models/digits/run-1/model"]
    assert (step.name, step.retries) == (receipt.name, receipt.retries)


def test_a_folder_is_none(tmp_path: Path) -> None:
    """Nobody else could look at it."""
    assert receipt_step(connection(tmp_path), request("gs://local/digits/run-1")) is receipt


def test_a_name_that_assets_refuse_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours of training are not lost for a character."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")

    assert receipt_step(connection(None), request("gs://models/ä run\t1")) is receipt


def test_a_model_in_a_bucket_has_a_link() -> None:
    """To the console's page of its folder; a folder of this machine is only named."""
    file = ModelFile("model.json", 2, "ab" * 32)

    assert "](https://console.cloud.google.com/storage/browser/b/run/model)" in page(
        Receipt("gs://b/run/model", [file])
    )
    assert "http" not in page(Receipt("/home/me/model", [file]))
