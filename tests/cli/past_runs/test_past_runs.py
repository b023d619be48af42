"""The commands about past runs: what they print of a real run, with and without a Prefect server, and for bad input."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from pathlib import Path

import pytest
from fixtures.google.object_store import object_store  # noqa: F401 - a fixture
from fixtures.google.scripted_vertex import Clock, TinyVertex, serve
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.aiplatform_v1 import JobState
from prefect import settings
from prefect_vertex_training.blocks.vertex_ai import VertexAI
from prefect_vertex_training.cli.main import main
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.vertex.labels import RUN_LABEL


def run(*words: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command in this process."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


@pytest.mark.prefect
def test_a_run_is_listed_and_its_model_downloaded(
    home: Home, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One run that fails before its job and one that trains: `runs` knows both, `models` and `download` the model."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "requirements.txt").write_text("")
    (broken / "train.py").write_text("raise SystemExit(3)")
    assert run("run", broken, capsys=capsys)[0] == 2
    code, out, _ = run("run", project, "--json", capsys=capsys)
    assert code == 0
    result = json.loads(out)

    code, out, _ = run("runs", "--json", capsys=capsys)
    newest = json.loads(out)
    assert code == 0
    # The session's server may know older runs of other tests.
    assert [(r["project"], r["state"], bool(r["model"])) for r in newest[:2]] == [
        ("tiny", "Completed", True),
        ("broken", "Failed", False),
    ]
    assert (newest[0]["model"], newest[0]["job"], newest[0]["receipt"]) == (
        result["model"],
        result["job"],
        result["receipt"],
    )
    assert newest[0]["seconds"] > 0

    with settings.temporary_settings({settings.PREFECT_API_URL: None}):  # local_vertex knows the one with a job
        _, out, _ = run("runs", "--json", capsys=capsys)
        assert [r["run"] for r in json.loads(out)] == [newest[0]["run"]]
        _, out, err = run("models", project, capsys=capsys)
        head, row, empty, place = out.splitlines()
        assert head.split() == ["run", "project", "trained", "size", "files", "metrics"]
        assert row.split()[:2] == [newest[0]["run"][:8], "tiny"]
        assert (empty, place.split()) == ("", [newest[0]["run"][:8], result["model"]])
        assert "vertex-training download RUN FOLDER" in err

        code, out, _ = run("download", newest[0]["run"][:8], tmp_path / "model", capsys=capsys)
        assert code == 0
        assert out.startswith("1 file, 13 bytes in ")
        assert (tmp_path / "model/model.json").read_bytes() == (Path(result["model"]) / "model.json").read_bytes()
        code, out, _ = run("download", result["model"], tmp_path / "model", "--json", capsys=capsys)
        assert (code, json.loads(out)["fetched"]) == (0, [])
        (tmp_path / "model/model.json").write_text("mine")
        code, out, err = run("download", newest[0]["run"], tmp_path / "model", capsys=capsys)
        assert (code, out) == (2, "")
        assert err.splitlines()[-1].startswith("error: model.json is there already")


def test_a_machine_without_runs_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No service is started for it, no table is printed, and JSON is an empty list."""
    monkeypatch.setenv("VERTEX_TRAINING_HOME", str(tmp_path / "home"))
    with settings.temporary_settings({settings.PREFECT_API_URL: None}):
        assert run("runs", capsys=capsys) == (0, "", "no runs yet\n")
        assert run("models", "digits", capsys=capsys) == (0, "", "no models of digits yet\n")
        assert run("runs", "--json", capsys=capsys) == (0, "[]\n", "")
        code, out, err = run("download", "0686ab12", tmp_path / "x", capsys=capsys)

    assert (code, out) == (2, "")
    assert err.startswith("error: there is no such run on this machine (0686ab12)")
    assert not (tmp_path / "x").exists()
    assert not (tmp_path / "home/vertex/service.json").exists()


@pytest.mark.parametrize("words", [["runs", "--limit", "0"], ["download", "x"], ["models", "--limit", "many"]])
def test_wrong_words_are_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With the command that prints the help."""
    code, out, err = run(*words, capsys=capsys)

    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "--help" in err


def test_an_unreachable_prefect_server_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What jobs and receipts tell is listed all the same, and a line says what is missing."""
    monkeypatch.setenv("VERTEX_TRAINING_HOME", str(tmp_path / "home"))
    with settings.temporary_settings({settings.PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        code, out, err = run("runs", "--json", capsys=capsys)

    assert (code, out) == (0, "[]\n")
    assert len(err.splitlines()) == 1
    assert err.startswith("only what jobs and receipts say is listed: no Prefect server answers")


@pytest.mark.prefect
def test_the_clouds_models_are_found_by_a_block(
    prefect_server: str,
    object_store: str,  # noqa: F811 - the fixture
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A saved block leads to its bucket: a model whose job is forgotten, and one whose job failed and left nothing."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", object_store)
    bucket = storage.Client(project="p", credentials=AnonymousCredentials()).create_bucket(f"b{time.time_ns()}")
    run_id, output = str(uuid.uuid4()), f"gs://{bucket.name}/tiny"
    files = [{"path": "m", "bytes": 7, "sha256": hashlib.sha256(b"weights").hexdigest()}]
    receipt = {"version": 1, "flow_run": run_id, "output": f"{output}/{run_id}", "files": files}
    bucket.blob(f"tiny/{run_id}/model/m").upload_from_string(b"weights")
    bucket.blob(f"tiny/{run_id}/receipt.json").upload_from_string(json.dumps(receipt))
    with serve(f"unix:{tmp_path}/s") as wire:
        wire.vertex = TinyVertex(Clock())
        failed = wire.vertex.add(state=JobState.JOB_STATE_FAILED)
        failed.labels[RUN_LABEL] = str(uuid.uuid4())
        failed.job_spec.base_output_directory.output_uri_prefix = f"{output}/{failed.labels[RUN_LABEL]}"
        block = VertexAI(
            project="my-project-1", region="europe-west4", bucket=bucket.name, endpoint=f"unix:{tmp_path}/s"
        )
        block.save("past-runs", overwrite=True)

        _, out, _ = run("models", "--vertex", "past-runs", "--json", capsys=capsys)
        (model,) = json.loads(out)
        assert (model["run"], model["model"], model["files"]) == (run_id, f"{output}/{run_id}/model", 1)

        words = ["download", model["model"], tmp_path / "model", "--vertex", "past-runs"]
        assert run(*words, capsys=capsys)[0] == 0
        assert (tmp_path / "model/m").read_bytes() == b"weights"

        code, _, err = run("download", failed.labels[RUN_LABEL], tmp_path / "x", *words[3:], capsys=capsys)
        assert (code, err.count("\n")) == (2, 1)
        assert "the run has no model: its job is failed" in err
        code, _, err = run("download", "0" * 8, tmp_path / "x", *words[3:], capsys=capsys)
        assert (code, err) == (2, "error: there is no such run (00000000). List them: vertex-training runs\n")
