"""The digits example, run as its README says and by verify."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from prefect_vertex_training.project.files.listing import list_files
from prefect_vertex_training.project.local_run.verify import verify
from prefect_vertex_training.project.local_run.virtualenv import environment
from prefect_vertex_training.project.settings.settings import load

DIGITS = Path(__file__).parents[2] / "examples" / "digits"

PREDICTS = """
import sys, joblib
from sklearn.datasets import load_digits
images, labels = load_digits(return_X_y=True)
print(joblib.load(sys.argv[1]).score(images, labels))
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """Holds the example's environment, made once and used by later sessions: to compile its modules takes seconds."""
    kept = pytestconfig.cache
    return kept.mkdir("digits") if kept else tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def python(cache: Path) -> Path:
    """An interpreter with the example's requirements."""
    return environment(DIGITS, load(DIGITS), cache=cache)


def train(python: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs the example as its README says."""
    command = [python, DIGITS / "train.py", *args]
    return subprocess.run(command, env=env, cwd=env.get("HOME"), capture_output=True, text=True, check=True)


def test_it_learns(python, tmp_path):
    """Each epoch prints its numbers as JSON, and the saved model recognises nearly all digits."""
    finished = train(python, "--epochs", "8", "--model-dir", str(tmp_path / "made" / "here"))

    folder = tmp_path / "made" / "here"
    metrics = json.loads((folder / "metrics.json").read_text())
    printed = [json.loads(line) for line in finished.stdout.splitlines() if line.startswith("{")]
    assert [line["epoch"] for line in printed] == list(range(1, 9))
    assert printed[0]["loss"] > printed[-1]["loss"]
    assert metrics["epochs"] == len(metrics["history"]) == 8
    assert metrics["accuracy"] > 0.9
    score = subprocess.run([python, "-c", PREDICTS, folder / "model.joblib"], capture_output=True, check=True)
    assert float(score.stdout) > 0.9


def test_without_a_word_the_model_goes_beside_the_script(python, tmp_path):
    """Without --model-dir and AIP_MODEL_DIR it is ./model; the local run below sets that, as the platform does."""
    train(python, "--epochs", "1", HOME=str(tmp_path))

    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["metrics.json", "model.joblib"]


def test_a_bucket_is_written_through_its_mount(python):
    """gs://BUCKET/FOLDER becomes /gcs/BUCKET/FOLDER, where Vertex AI mounts it."""
    code = f"import sys; sys.path.insert(0, {str(DIGITS)!r}); import train; print(train.local_folder('gs://b/m/'))"
    shown = subprocess.run([python, "-B", "-c", code], capture_output=True, text=True, check=True).stdout

    assert shown == "/gcs/b/m\n"


def test_verify_takes_one_epoch_in_a_copy_anywhere(cache, tmp_path):
    """A copy of the folder needs no configuration; the local run is short and finds the model."""
    copy = Path(shutil.copytree(DIGITS, tmp_path / "anywhere"))
    settings = load(copy)
    lines: list[str] = []
    report = verify(copy, list_files(copy, settings), settings, ["--epochs", "30"], cache=cache, log=lines.append)

    assert report.model_files == ("metrics.json", "model.joblib")
    assert report.warnings == ()
    assert lines[0].endswith("--epochs 1")
    assert lines[1].startswith('{"epoch": 1, "epochs": 1, ')


def test_verify_takes_a_folder_in_a_bucket(cache):
    """The guide's own command: the folder that the arguments name counts as the model's."""
    settings = load(DIGITS)
    args = ["--model-dir=gs://bucket/digits", "--epochs=10"]
    report = verify(DIGITS, list_files(DIGITS, settings), settings, args, cache=cache, log=print)

    assert report.model_files == ("metrics.json", "model.joblib")


def test_it_does_not_mention_this_package():
    """The example doesn't depend on this package."""
    assert all("prefect" not in path.read_text().lower() for path in DIGITS.iterdir() if path.is_file())
