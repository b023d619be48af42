"""The advice for a script that saves its model in its own place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from prefect_vertex_training.project.local_run.own_place import no_model, patterns, written_in
from prefect_vertex_training.project.local_run.script_options import Options
from prefect_vertex_training.project.settings.settings import Settings


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["model.joblib"], ["model.joblib"]),
        (["LICENSE2", "MODEL"], ["LICENSE2", "MODEL"]),
        (["out/a.pt", "out/deep/b.pt"], ["out/**"]),
        (["a/x", "b/x", "model.pt"], ["a/**", "b/**", "model.pt"]),
        (["run_20261130_140957_289430/model.bin"], ["run_*/**"]),
        (["2026-11-30_14-09-57/a", "exp 2026-11-30 14:09:57.12/a"], ["*/**", "exp */**"]),
        (["model_1796047797.pkl", "8f14e45f-ceea-467f-ab4d-1c1d4f0e6a3b.pt"], ["model_*.pkl", "*.pt"]),
        (
            ["resnet50/a", "version_0/a", "epoch=3-step=120.ckpt"],
            ["resnet50/**", "version_0/**", "epoch=3-step=120.ckpt"],
        ),
    ],
)
def test_the_patterns_match_the_files(paths: list[str], expected: list[str]) -> None:
    """A folder is taken as a whole, and a file of the working directory by its name."""
    assert patterns(paths) == expected


def no_model_of(written: list[str], flags: list[str], added: list[str] = []) -> str:  # noqa: B006 - never changed
    """The message."""
    settings = Settings(root=Path("/project"), name="p", script="train.py", python="3.11")
    options = Options({flag: flag.lstrip("-") for flag in flags})
    return str(no_model(settings, written, Path("/nowhere/outputs"), options, added=added))


def test_pictures_are_no_model() -> None:
    """The step is the option that may make the script save, not one that takes the picture along."""
    assert "saved no model, only plot.png" in no_model_of(["plot.png"], [])
    assert "--train_dir={model-dir}" in no_model_of(["plot.png", "b.svg"], ["--data_dir", "--train_dir"])
    assert 'outputs = ["plot.png", "m.pt"]' in no_model_of(["plot.png", "m.pt"], [])


def test_a_workload_that_was_too_small_is_said() -> None:
    """Scripts that save each thousand steps save nothing in one; the message has the setting with a larger number."""
    message = no_model_of([], [], ["--max-steps", "1"])

    assert "saved no model with --max-steps 1, which was added for a small run" in message
    assert 'verify-args = ["--max-steps", "1000"]' in message
    assert 'verify-args = ["train.steps=1000"]' in no_model_of([], [], ["train.steps=1"])


def test_what_a_script_wrote(tmp_path: Path) -> None:
    """New files, the project's files that it wrote anew, and new empty folders; bytecode is nobody's output."""
    for name in ("train.py", "model/old.pkl", "model/new.pkl", "out/a.pt", "pkg/__pycache__/a.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    for name in ("train.py", "model/old.pkl"):
        os.utime(tmp_path / name, (100, 100))
    (tmp_path / "runs/exp1").mkdir(parents=True)

    found = written_in(tmp_path, {"train.py", "model/old.pkl", "model/new.pkl"}, since=200)
    assert found == ("model/new.pkl", "out/a.pt", "runs/exp1/")


def test_a_model_outside_of_the_working_directory_is_named() -> None:
    """A script in a folder that saves above it is told how to run there; another one where to save."""
    script = Settings(Path("/p"), "p", "code/fit.py", "3.11")
    above = str(no_model(script, [], Path("/nowhere"), Options(), outside=["../models/a.pkl"]))
    assert "saved no model: ../models/a.pkl outside of its working directory would be lost" in above
    assert 'Set command = ["sh", "-c", "cd code && exec python fit.py' in above

    elsewhere = str(no_model(script, [], Path("/nowhere"), Options(), outside=["/tmp/plot.png", "/tmp/a.pkl"]))
    assert "/tmp/a.pkl outside" in elsewhere
    assert "Save the model in the folder given by AIP_MODEL_DIR" in elsewhere
