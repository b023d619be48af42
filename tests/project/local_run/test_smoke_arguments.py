from dataclasses import replace
from pathlib import Path

import pytest
from prefect_vertex_training.project.local_run.smoke_arguments import declared_flags, help_flags, smoke_arguments
from prefect_vertex_training.project.settings.settings import load

OUT = Path("/out")


def flags(root: Path) -> frozenset[str]:
    """What the project's script declares."""
    return declared_flags(root / "train.py")


@pytest.mark.parametrize(
    ("script", "added"),
    [
        ("parser.add_argument('--epochs', type=int)", ["--epochs", "1"]),
        ("parser.add_argument('-e', '--num-epochs')", ["--num-epochs", "1"]),
        ("@click.option('--max-steps', default=5)\ndef f(): pass", ["--max-steps", "1"]),
        ("def f(epochs: int = typer.Option(3, '--epochs')): pass", ["--epochs", "1"]),
        ("flags.DEFINE_integer('epochs', 3, 'passes')", ["--epochs", "1"]),
        ("p.add_argument('--epochs'); p.add_argument('--steps')", ["--epochs", "1", "--steps", "1"]),
        ("print('--epochs')", []),
        ("p.add_argument('--epochs-to-keep')", []),
        ("def f(:", []),
    ],
)
def test_one_epoch_where_the_script_has_such_a_flag(make_project, script, added):
    """Read from the source, without running it; the flag comes last, so that it wins."""
    root = make_project({"train.py": script})

    assert list(smoke_arguments(flags(root), load(root), ["--rate", "1"], OUT)) == ["--rate", "1", *added]


def test_verify_args_are_taken_as_they_are(make_project):
    """They replace the run's own; nothing is added, and an empty list means no arguments."""
    root = make_project({"train.py": "p.add_argument('--epochs')"})
    settings = load(root)

    assert smoke_arguments(flags(root), replace(settings, verify_args=("--quick",)), ["--x"], OUT) == ("--quick",)
    assert smoke_arguments(flags(root), replace(settings, verify_args=()), ["--x"], OUT) == ()


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--model-dir", "gs://b/m"], ["--model-dir", "/out/model-dir"]),
        (["--model_dir=gs://b/m"], ["--model_dir=/out/model-dir"]),
        (["--output=/gcs/b/m"], ["--output=/out/output"]),
        (["--checkpoint-dir", "/gcs/b/c"], ["--checkpoint-dir", "/out/checkpoint-dir"]),
        (["--data", "gs://b/train.csv"], ["--data", "gs://b/train.csv"]),
        (["--model-dir", "local"], ["--model-dir", "local"]),
        (["gs://b/x"], ["gs://b/x"]),
    ],
)
def test_outputs_in_a_bucket_become_folders(make_project, args, expected):
    """Outputs are redirected, inputs are not: they are there to be read."""
    root = make_project()

    assert list(smoke_arguments(flags(root), load(root), args, OUT)) == expected


def test_the_models_flag_is_set(make_project):
    """`model-dir-argument` tells the script its folder, as the cloud run does."""
    root = make_project()
    settings = replace(load(root), model_dir_argument="--out")

    assert smoke_arguments(flags(root), settings, [], OUT) == ("--out", "/out/model")


def test_a_missing_script_declares_nothing(tmp_path):
    """Running it says what is wrong."""
    assert declared_flags(tmp_path / "none.py") == frozenset()


@pytest.mark.parametrize(
    ("line", "flags"),
    [
        ("  --epochs EPOCHS       how often (default: 3)", {"--epochs"}),
        ("usage: train.py [-h] [--num-epochs N] [--rate=R]", {"--num-epochs", "--rate"}),
        ("  -e, --epochs INTEGER  also see --lr.", {"--epochs", "--lr"}),
        ("----- options -----", set()),
    ],
)
def test_flags_are_read_from_help(line, flags):
    """As argparse, click, absl and fire write it."""
    assert help_flags([line]) == flags
