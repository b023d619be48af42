"""What the local run proposes to a script that saved in its own place."""

from __future__ import annotations

import pytest
from prefect_vertex_training.project.local_run.local_outputs import how_to_save, suggested_setting


@pytest.mark.parametrize(
    ("paths", "setting"),
    [
        (["model.joblib"], '["model.joblib"]'),
        (["a.pt", "b.pt"], '["*.pt"]'),
        (["LICENSE2", "MODEL"], '["LICENSE2", "MODEL"]'),
        (["out/a.pt", "out/deep/b.pt"], '["out/**"]'),
        (["a/x", "b/x", "c/x", "d/x"], '["a/**", "b/**", "c/**"]'),
    ],
)
def test_the_setting_takes_the_files(paths: list[str], setting: str) -> None:
    """Folders as a whole, one file by its name, several of a kind by their ending; at most three patterns."""
    assert suggested_setting(paths) == setting


@pytest.mark.parametrize(
    ("flags", "flag"),
    [
        (["--output_dir", "--epochs"], "--output_dir"),
        (["--save-path"], "--save-path"),
        (["--run-dir", "--model-dir"], "--model-dir"),
        (["--checkpoint_path"], "--checkpoint_path"),
        (["--output"], "--output"),
        (["--out"], "--out"),
        (["-outdir"], "-outdir"),
    ],
)
def test_the_scripts_own_flag_is_named(flags: list[str], flag: str) -> None:
    """A flag that takes the folder to write to; that of the model first."""
    assert f'model-dir-argument = "{flag}"' in how_to_save((), ["out/a.pt"], flags)


@pytest.mark.parametrize("flag", ["--model", "--save", "--output-file", "--resume", "--dataset-path", "--runs"])
def test_other_flags_are_not_named(flag: str) -> None:
    """A model's name, a switch, or a place to read from is no folder to write to."""
    assert flag not in how_to_save((), ["out/a.pt"], [flag])


def test_what_to_change() -> None:
    """Patterns that matched nothing are to be changed; without stray files the model's folder is what to use."""
    assert how_to_save(("x",), ["out/a.pt"], []).startswith('Change outputs to ["out/**"] under [tool.vertex-training]')
    assert how_to_save((), [], []).startswith("Save the model in the folder given by AIP_MODEL_DIR")
