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
    ],
)
def test_the_patterns_match_the_files(paths: list[str], expected: list[str]) -> None:
    """A folder is taken as a whole, and a file of the working directory by its name."""
    assert patterns(paths) == expected


def no_model_of(written: list[str], flags: list[str], added: list[str] = []) -> str:  # noqa: B006 - never changed
    """The message."""
    settings = Settings(root=Path("/project"), name="p", script="train.py", python="3.11")
    options = Options({flag: flag.lstrip("-") for flag in flags})
    return str(no_model(settings, written, Path("/nowhere/outputs"), options, added))


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
