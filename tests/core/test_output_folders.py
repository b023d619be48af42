"""Which names of options and variables give outputs."""

from __future__ import annotations

import pytest
from prefect_vertex_training.core.output_folders import is_output, literal_outputs, variable_outputs

OUTPUTS = """--model-dir logdir job-dir paths.out_dir hydra.run.dir -o output_data_dir train-output SM_OUTPUT_DATA_DIR
eval_output_dir output-prefix output_location save-model-to weights-out"""
INPUTS = """--data-dir train-dir model_name_or_path resume-from init_checkpoint load_model input-path restore_from_dir
SM_CHANNEL_TRAIN load-saved-model"""


@pytest.mark.parametrize("name", OUTPUTS.split())
def test_what_is_written_is_an_output(name: str) -> None:
    """Also where the name says whose output it is."""
    assert is_output(name)


@pytest.mark.parametrize("name", [*INPUTS.split(), "save_every", "output-size", "dropout", "out_features"])
def test_what_is_read_and_numbers_are_none(name: str) -> None:
    """A name that only begins like one counts where its value is an address in a bucket."""
    assert not is_output(name)


def test_an_address_says_more_than_its_name() -> None:
    """Whatever is written to a bucket is an output; what is read from it stays."""
    args = [
        "--save-weights=gs://b/w",
        "--out-features",
        "gs://b/f.npy",
        "--load-saved-model=gs://b/old",
        "dump=gs://b/d",
    ]

    assert [found.address for found in literal_outputs(args)] == ["gs://b/w", "gs://b/f.npy", "gs://b/d"]
    env = {"SM_OUTPUT_DATA_DIR": "gs://b/o", "SM_CHANNEL_TRAIN": "gs://b/t"}
    assert [found.name for found in variable_outputs(env)] == ["SM_OUTPUT_DATA_DIR"]
