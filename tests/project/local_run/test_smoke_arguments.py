from dataclasses import replace
from pathlib import Path

import pytest
from prefect_vertex_training.project.local_run.places.run_storage import RunStorage
from prefect_vertex_training.project.local_run.script_options import (
    Options,
    commands_in,
    declared_options,
    help_options,
    is_help,
)
from prefect_vertex_training.project.local_run.smoke_arguments import (
    SmokeArguments,
    limits,
    redirected_variables,
    refuses,
    smoke_arguments,
)
from prefect_vertex_training.project.settings.settings import load

OUT = Path("/out")
STORAGE = RunStorage(OUT, "/out", "/out", {}, None, Path("/root-of-the-run"))


def flags(root: Path) -> Options:
    """What the project's script declares."""
    return declared_options([root / "train.py"])


def made(root: Path, args: list[str], options: Options | None = None, **changes) -> SmokeArguments:
    """The arguments of the local run of the project's script."""
    return smoke_arguments(options or flags(root), replace(load(root), **changes), args, STORAGE)


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
        ("p.add_argument('--steps', action='store_true')", []),
        ("@click.option('--steps', is_flag=True)\ndef f(): pass", []),
        ("p.add_argument('-e', dest='n_epochs')", ["-e", "1"]),
        ("p.add_argument('-epoch', type=int)", ["-epoch", "1"]),
        ("p.add_argument('-e', type=int)", []),
        ("p.add_argument('--total-timesteps', type=int)", ["--total-timesteps", "512"]),
        ("def f(:", []),
    ],
)
def test_one_epoch_where_the_script_has_such_a_flag(make_project, script, added):
    """Read from the source, without running it; the flag comes last, so that it wins."""
    root = make_project({"train.py": script})

    assert list(made(root, ["--rate", "1"]).all) == ["--rate", "1", *added]


def test_verify_args_are_taken_as_they_are(make_project):
    """They replace the run's own; nothing is added, and an empty list means no arguments."""
    root = make_project({"train.py": "p.add_argument('--epochs')"})

    assert made(root, ["--x"], verify_args=("--quick",)).all == ("--quick",)
    assert made(root, ["--x"], verify_args=()).all == ()


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
        (["paths.output_dir=gs://b/m"], ["paths.output_dir=/out/paths.output-dir"]),
        (["+hydra.run.dir=/gcs/b/m"], ["+hydra.run.dir=/out/hydra.run.dir"]),
        (["data.path=gs://b/d"], ["data.path=gs://b/d"]),
        (["-o", "gs://b/m"], ["-o", "/out/o"]),
        (["--pretrained-model=gs://b/m"], ["--pretrained-model=gs://b/m"]),
        (["--output=gs://b/m/model.pkl"], ["--output=/out/output/model.pkl"]),
    ],
)
def test_outputs_in_a_bucket_become_folders(make_project, args, expected):
    """Outputs are redirected, inputs are not: they are there to be read."""
    root = make_project()

    assert list(made(root, args).all) == expected


def test_the_models_flag_is_set(make_project):
    """`model-dir-argument` tells the script its folder, as the cloud run does."""
    root = make_project()

    assert made(root, [], model_dir_argument="--out").all == ("--out", "/out/model")


def test_a_missing_script_declares_nothing(tmp_path):
    """Running it says what is wrong."""
    assert declared_options([tmp_path / "none.py"]) == Options()


@pytest.mark.parametrize(
    ("line", "flags"),
    [
        ("  --epochs EPOCHS       how often (default: 3)", {"--epochs"}),
        ("usage: train.py [-h] [--num-epochs N] [--rate=R]", {"--num-epochs", "--rate"}),
        ("  -e, --epochs INTEGER  also see --lr.", {"--epochs", "--lr"}),
        ("----- options -----", set()),
        ("usage: train.py [--resume] [--epochs EPOCHS]", {"--epochs"}),
        ("  --trainer.max_epochs MAX_EPOCHS", {"--trainer.max_epochs"}),
    ],
)
def test_flags_are_read_from_help(line, flags):
    """As argparse, click, absl and fire write it."""
    assert set(help_options([line]).flags) == flags


@pytest.mark.parametrize(
    ("lines", "commands"),
    [
        (["usage: train.py [-h] --data DATA {train,evaluate} ..."], ("train", "evaluate")),
        (["usage: train.py [-h] [--much-longer-option VALUE] {fit,test}", "                ..."], ("fit", "test")),
        (["usage: train.py [-h] --data DATA [--optim {sgd,adam}]"], ()),
        (
            ["Usage: train.py [OPTIONS] COMMAND [ARGS]...", "", "Commands:", "  fit   Trains.", "  test"],
            ("fit", "test"),
        ),
        (["╭─ Commands ─────╮", "│ fit      Trains │", "╰────────────────╯"], ("fit",)),
        (["COMMANDS", "    COMMAND is one of the following:", "", "     fit", "       Trains.", ""], ("fit",)),
        (["epoch 1", "Commands that ran: 3"], ()),
    ],
)
def test_subcommands_are_read_from_help(lines, commands):
    """As argparse, click, typer and fire name them; an option's choices are none."""
    assert commands_in(lines) == commands


def test_a_positional_output_is_known_by_its_name(make_project):
    """Of two bare addresses the one that the script calls an output is redirected."""
    root = make_project({"train.py": "p.add_argument('data')\np.add_argument('output_dir')"})

    assert made(root, ["gs://b/train", "gs://b/model"]).all == ("gs://b/train", "/out/output-dir")


def test_outputs_in_variables_are_redirected():
    """By the variable's name, as options are."""
    env, places = redirected_variables({"MODEL_DIR": "gs://b/m", "DATA_DIR": "gs://b/d", "N": "1"}, STORAGE)

    assert env == {"MODEL_DIR": "/out/model-dir", "DATA_DIR": "gs://b/d", "N": "1"}
    assert list(places.values()) == [OUT / "model-dir"]


def test_hydras_configuration_is_cut_by_overrides(make_project):
    """Its --help shows the configuration; an override of the run's own is replaced."""
    shown = ["Override anything in the config (foo.bar=value)", "", "trainer:", "  max_epochs: 50", "  lr: 0.1"]
    found = help_options(shown)
    root = make_project()

    assert limits(found) == {"trainer.max_epochs": "1"}
    assert made(root, ["trainer.max_epochs=9", "x=1"], found).all == ("x=1", "trainer.max_epochs=1")


@pytest.mark.parametrize(
    ("lines", "code", "added", "refused"),
    [
        (["error: unrecognized arguments: --epochs 1"], 2, ["--epochs", "1"], True),
        (["ValueError: steps must be at least 10"], 1, ["--steps", "1"], True),
        (["ModuleNotFoundError: No module named 'x'"], 1, ["--epochs", "1"], False),
        (["error: unrecognized arguments: --mine"], 2, [], False),
        ([""], -9, ["--epochs", "1"], False),
    ],
)
def test_a_refusal_is_told_from_another_failure(lines, code, added, refused):
    """Only a script that may have failed because of what was added runs once more."""
    assert refuses(lines, code, added) is refused


@pytest.mark.parametrize(
    ("shown", "added"),
    [
        ("  -n, --epochs=<n>  Number of epochs [default: 10].", {"--epochs": "1"}),
        ("usage: train.py [-h] [-epoch EPOCH] [-batch_size N]", {"-epoch": "1"}),
        ("usage: train.py [-h] [-n-iter 10] model", {"-n-iter": "1"}),
        ("  --config.epochs int   number (default: 10)", {"--config.epochs": "1"}),
        ("  --trainer.num_train_steps int", {"--trainer.num_train_steps": "1"}),
        ("│ EPOCHS --epochs  [default: 10]     │", {"--epochs": "1"}),
        ("  --steps / --no-steps      show them", {}),
        ("│ --steps/--no-steps  show them │", {}),
        ("  --batch_size: Batch\n  --epochs: Epochs.\n    (default: '10')", {"--epochs": "1"}),
    ],
)
def test_help_of_every_library_shows_what_limits_the_work(shown, added):
    """As docopt, argparse, plac, simple-parsing, draccus, cyclopts, click, typer and absl write it."""
    assert limits(help_options(shown.splitlines())) == added


def test_help_of_absl_ends_with_an_error():
    """It is help all the same; an error of another program that ends so is none."""
    absl = ["  --epochs: Epochs.", "Try --helpfull to get a list of all flags."]

    assert is_help(absl, 1)
    assert is_help(["usage: train.py"], 0)
    assert not is_help(["  --epochs: Epochs.", "ValueError: rows"], 1)
    assert not is_help(absl, None)
