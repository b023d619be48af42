"""The metric that a script prints, in the file that Vertex AI's tuning reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prefect_vertex_training.runtime.tuning import tuning_variable
from prefect_vertex_training.runtime.tuning.hypertune_file import HypertuneFile
from prefect_vertex_training.runtime.tuning.tuning_variable import Tuning
from prefect_vertex_training.sweeps.metric_values import Point, hypertune_points

OUTPUT = "gs://bucket/project/run"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a trial, whose folder doesn't exist yet."""
    return tmp_path / "hypertune/output.metrics"


def reported(path: Path, printed: str, document: str = "") -> list[Point]:
    """What is in the file when a script that printed this has ended."""
    file = HypertuneFile("acc", str(path), "3", print)
    stream = file.stream()
    for start in range(0, len(printed), 7):  # in pieces, as from a pipe
        stream(printed[start : start + 7].encode())
    stream(b"")
    file.end(document)
    return hypertune_points(path.read_text(), "acc") if path.exists() else []


@pytest.mark.parametrize(
    ("printed", "points"),
    [
        ('{"epoch": 1, "acc": 0.5}\n{"epoch": 2, "acc": 0.75}\n', [(1, 0.5), (2, 0.75)]),
        ("step=10 acc=0.5\nloss=1\nacc: 0.75 without a step", [(10, 0.5), (2, 0.75)]),
        ("epoch=0.5 acc=0.25\repoch=1.0 acc=0.5\r", [(1, 0.25), (2, 0.5)]),
        ("accuracy=1\nmy_acc=2\n", []),
        ("x" * 200_000 + " acc=1\nacc=0.5\n", [(1, 0.5)]),
    ],
)
def test_the_lines_of_a_script_become_reports(path: Path, printed: str, points: list[tuple[float, float]]) -> None:
    """The same lines count as in a log, whatever pieces they arrive in; steps are whole numbers."""
    assert [tuple(point) for point in reported(path, printed)] == points


def test_the_form_is_that_of_cloudml_hypertune(path: Path) -> None:
    """The value is a text, the step too, and the last 100 reports stay."""
    reported(path, "".join(f"step={step} acc={step / 1000}\n" for step in range(250)))
    lines = [json.loads(line) for line in path.read_text().splitlines()]

    assert len(lines) == 100
    last = {**lines[-1], "timestamp": 0}
    assert last == {"timestamp": 0, "trial": "3", "acc": "0.249", "global_step": "249", "checkpoint_path": ""}


def test_metrics_json_comes_last(path: Path) -> None:
    """What the script saved beside its model is the trial's last value, as in the own engine."""
    assert reported(path, "step=4 acc=0.5\n", '{"acc": 0.9}') == [Point(4, 0.5), Point(5, 0.9)]
    path.unlink()
    assert reported(path, "", '{"acc": 0.9}') == [Point(1, 0.9)]


def test_a_script_that_reports_itself_is_left_alone(path: Path) -> None:
    """What another writer has put into the file stays."""
    file = HypertuneFile("acc", str(path), "1", print)
    path.parent.mkdir()
    path.write_text('{"acc": "0.1", "global_step": "7"}\n')
    file.take_line("acc=0.9")
    file.end("")

    assert hypertune_points(path.read_text(), "acc") == [Point(7, 0.1)]


def test_a_restarted_trial_adds_to_its_reports(path: Path) -> None:
    """A job that the service starts again goes on with the file of its first start."""
    reported(path, "step=1 acc=0.1\nstep=2 acc=0.2\n")

    assert reported(path, "step=2 acc=0.25\n") == [Point(1, 0.1), Point(2, 0.2), Point(2, 0.25)]


def test_a_folder_that_cant_be_written_is_said_once(tmp_path: Path) -> None:
    """The training goes on, and the job's log says why nothing was reported."""
    said: list[str] = []
    (tmp_path / "file").write_text("")
    file = HypertuneFile("acc", str(tmp_path / "file/output.metrics"), "1", said.append)
    file.take_line("acc=0.1")
    file.take_line("acc=0.2")
    file.end("")

    assert len(said) == 1
    assert "acc can't be reported in" in said[0]


SCRIPT = """
import json, os, pathlib, sys
assert sys.argv[1] == "/gcs/bucket/project/run/2/model", sys.argv
assert os.environ["VERTEX_TRAINING_MODEL_DIR"] == "/gcs/bucket/project/run/2/model"
assert os.environ["AIP_MODEL_DIR"] == "gs://bucket/project/run/2/model/"
assert os.environ["OTHER"] == "gs://bucket/project/run-2/model"
for step in (1, 2):
    print(json.dumps({"step": step, "acc": step / 10}))
exit(5)
"""


def test_an_unchanged_script_is_measured_in_a_trials_own_folder(job, path: Path) -> None:
    """The runtime passes its output and status on, reports what it prints, and gives it the trial's folders."""
    env = {
        **tuning_variable.encode(Tuning("acc", OUTPUT)),
        "CLOUD_ML_HP_METRIC_FILE": str(path),
        "CLOUD_ML_TRIAL_ID": "2",
        "AIP_MODEL_DIR": f"{OUTPUT}/2/model/",
        "VERTEX_TRAINING_MODEL_DIR": "/gcs/bucket/project/run/model",
        "OTHER": "gs://bucket/project/run-2/model",
    }
    command = [*job.command(sys.executable, "-c", SCRIPT), "/gcs/bucket/project/run/model"]
    done = subprocess.run(command, env={**job.env(()), **env}, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout.count("acc")) == (5, 2), done.stderr
    assert hypertune_points(path.read_text(), "acc") == [Point(1, 0.1), Point(2, 0.2)]


def test_a_job_that_is_no_trial_starts_its_script_in_place_of_the_runtime(job) -> None:
    """An image made for tuning trains alone, too: no variable of a trial, no process between."""
    status, out, _ = job.run("import os; print(os.getppid())", job.env(()))

    assert (status, int(out)) == (0, os.getpid())


@pytest.mark.parametrize("text", ["1", "{}", '{"metric": "", "output": ""}', "no JSON"])
def test_a_variable_of_another_form_ends_the_job(job, text: str) -> None:
    """One line says which one."""
    status, _, err = job.run("print('started')", {**job.env(()), tuning_variable.NAME: text})

    assert (status, err.count("\n")) == (1, 1)
    assert "VERTEX_TRAINING_TUNING can't be read" in err
