"""The sweep flow, with a real Prefect server and real jobs in local_vertex."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fixtures.prefect_api.worker import until
from prefect.artifacts import Artifact
from prefect_vertex_training.core.errors import ProjectError, TrainingError, VerifyError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.flows.sweep import sweep
from prefect_vertex_training.flows.trials.sweep_form import SweepChoices
from prefect_vertex_training.flows.trials.sweep_result import SweepResult
from prefect_vertex_training.local_vertex.endpoint import store_path
from prefect_vertex_training.local_vertex.store.store import Store

pytestmark = pytest.mark.prefect

SCRIPT = """\
import argparse, json, os, pathlib, time

parser = argparse.ArgumentParser()
parser.add_argument("--model-dir", default=os.environ.get("AIP_MODEL_DIR"))
parser.add_argument("--lr", type=float, default=0.5)
parser.add_argument("--kind", default="plain")
parser.add_argument("--steps", type=int, default=2)
options = parser.parse_args()
in_job = "CLOUD_ML_JOB_ID" in os.environ
if options.kind == "broken" and in_job:
    raise ValueError("no such kind")
score = float("nan") if options.kind == "nan" else 1 - abs(options.lr - 0.1)
for step in range(1, options.steps + 1):
    print(json.dumps({"step": step, "score": score + step / 1000}), flush=True)
    time.sleep(float(os.environ.get("PACE", "0")) if in_job and options.lr > 0.15 else 0)
    while in_job and options.lr > 0.25 and os.path.exists(os.environ.get("HOLD", "")):
        time.sleep(0.1)
folder = pathlib.Path(options.model_dir.replace("gs://", "/gcs/"))
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.json").write_text(json.dumps({"lr": options.lr}))
"""

LR = "lr = { log = [1e-3, 1.0] }"


@pytest.fixture
def searched(tmp_path: Path) -> Path:
    """A project whose script has a parameter to search."""
    folder = tmp_path / "searched"
    folder.mkdir()
    (folder / "train.py").write_text(SCRIPT)
    (folder / "requirements.txt").write_text("")
    return folder


def choices(*space: str, **more: object) -> SweepChoices:
    """A search for the score."""
    return SweepChoices(**{"metric": "score", "goal": "max", "space": list(space), **more})  # pyright: ignore[reportArgumentType]


def jobs_of(home: Home) -> int:
    """How many jobs local_vertex has made."""
    store = Store(store_path(home))
    try:
        return len(store.find("1", (), limit=1000))
    finally:
        store.close()


def test_a_sweep_finds_a_better_model_than_the_defaults_and_goes_on(home: Home, searched: Path) -> None:
    """Trial 0 has the script's own values, each trial one job of the same image; --add continues with that image."""
    first = sweep(searched, search=choices(LR, trials=4, parallel=2))

    assert [each.state for each in first.trials] == ["completed"] * 4
    assert first.trials[0].parameters == {}
    assert (first.best.metric or 0) > (first.trials[0].metric or 1)
    assert json.loads((Path(first.best.model) / "model.json").read_text())["lr"] == first.best.parameters["lr"]
    assert Path(first.best.receipt).is_file()
    assert jobs_of(home) == 4

    (searched / "train.py").write_text("raise SystemExit('the code has changed')")
    more = sweep(searched, search=choices(LR, parallel=2), add=2)

    assert (more.sweep, more.image, len(more.trials)) == (first.sweep, first.image, 6)
    assert [each.job for each in more.trials[:4]] == [each.job for each in first.trials]
    assert [step.name for step in more.steps] == []
    assert jobs_of(home) == 6
    shown = Artifact.get("searched-sweep")
    assert shown is not None
    assert "data:image/svg+xml" in str(shown.data)
    assert f"lr={more.trials[5].parameters['lr']}" in str(shown.data)


def test_what_a_trial_must_not_do_is_said_in_one_line(home: Home, searched: Path) -> None:
    """A failing and a useless trial don't end the sweep; a missing metric and too many failures do, at once."""
    kinds = 'kind = ["plain", "nan", "broken"]'
    mixed = sweep(searched, search=choices(kinds, algorithm="grid", trials=4, parallel=2))

    states = {each.parameters.get("kind", ""): (each.state, each.reason) for each in mixed.trials}
    assert states[""][0] == "completed"  # the script's own kind, which is not tried again
    assert "every combination has been tried" in mixed.ended
    assert states["nan"] == ("failed", "score is nan, which is no result")
    assert states["broken"][0] == "failed"
    assert "no such kind" in states["broken"][1]

    with pytest.raises(TrainingError, match="the metric scores never appeared in trial 0: it reported score"):
        sweep(searched, search=choices(LR, metric="scores", trials=6, parallel=1))
    with pytest.raises(TrainingError, match=r"all 2 trials failed, as many as max-failures allows; trial 1: .*nan"):
        sweep(searched, args=["--kind", "nan"], search=choices(LR, trials=6, parallel=1, max_failures=2), verify="off")
    assert jobs_of(home) == len(mixed.trials) + 1 + 2


def test_wrong_searches_are_refused_before_anything_is_built(home: Home, searched: Path) -> None:
    """A space that can't be searched, and a parameter that the script refuses."""
    with pytest.raises(ProjectError, match="lr is searched by its logarithm from 0"):
        sweep(searched, search=choices("lr = { log = [0, 1] }"))
    with pytest.raises(ProjectError, match="the sweep has no space"):
        sweep(searched, search=choices())
    with pytest.raises(VerifyError, match="unrecognized arguments: --rate="):
        sweep(searched, search=choices("rate = [1, 2]"))
    assert not list(home.images.glob("blobs/sha256/*"))


def test_a_bad_trial_is_ended_early_and_its_end_is_confirmed(
    home: Home, searched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once five trials are known, one that is worse than their median is cancelled; its job has ended then."""
    (searched / "pyproject.toml").write_text(
        '[tool.vertex-training]\nenv = { PACE = "0.3" }\n[tool.vertex-training.sweep]\nprune-after = 1\n'
    )
    # In the order of the grid, the five good ones come first.
    space = "lr = [0.1, 0.11, 0.12, 0.13, 0.14, 1.0]"
    result = sweep(
        searched, args=["--steps", "9"], search=choices(space, algorithm="grid", trials=7, parallel=1), verify="off"
    )

    last = result.trials[-1]
    assert (last.parameters, last.state) == ({"lr": 1.0}, "pruned")
    assert "worse than others" in last.reason
    store = Store(store_path(home))
    try:
        record = store.get(last.job.rpartition("/")[2])
    finally:
        store.close()
    assert record is not None
    assert record.state == "JOB_STATE_CANCELLED"


def test_an_ended_sweep_cancels_its_trials_and_a_new_run_takes_them_up(
    home: Home, searched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C cancels the running trials; going on repeats no finished one, and makes the cancelled ones again."""
    hold = searched.parent / "hold"  # keeps the trials 0 (0.5) and 3 (0.3) from ending
    hold.touch()
    (searched / "pyproject.toml").write_text(f'[tool.vertex-training]\nenv = {{ HOLD = "{hold}" }}\n')
    search = choices("lr = [0.1, 0.2, 0.3]", algorithm="grid", trials=4, parallel=2)
    from prefect_vertex_training.flows.trials import trial_loop

    taken = trial_loop.TrialLoop._take

    def interrupted(loop: trial_loop.TrialLoop, future: object) -> None:
        taken(loop, future)  # pyright: ignore[reportArgumentType]
        if sum(each.end is not None for each in loop.records) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(trial_loop.TrialLoop, "_take", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sweep(searched, search=search, verify="off")
    store = Store(store_path(home))
    try:
        until(lambda: {job.state for _, job in store.find("1", ())} <= {"JOB_STATE_SUCCEEDED", "JOB_STATE_CANCELLED"})
        first = [job.state for _, job in store.find("1", ())]
    finally:
        store.close()
    hold.unlink()

    result: SweepResult = sweep(searched, search=choices("lr = [0.1, 0.2, 0.3]", algorithm="grid"), add=1)

    assert first.count("JOB_STATE_SUCCEEDED") == 2
    assert [each.state for each in result.trials] == ["completed"] * 4
    assert jobs_of(home) == len(first) + 4 - 2


def test_vertex_ai_makes_the_trials_of_a_sweep_alike(home: Home, searched: Path) -> None:
    """One tuning job of an unchanged script: what it prints is the metric, and each trial has a model of its own."""
    script = SCRIPT.replace("AIP_MODEL_DIR", "VERTEX_TRAINING_MODEL_DIR")
    (searched / "train.py").write_text(script)

    result = sweep(searched, search=choices(LR, trials=3, parallel=2, engine="vertex"), verify="off")

    assert [(each.number, each.state) for each in result.trials] == [
        (1, "completed"),
        (2, "completed"),
        (3, "completed"),
    ]
    assert json.loads((Path(result.best.model) / "model.json").read_text())["lr"] == result.best.parameters["lr"]
    assert result.best.metric == pytest.approx(1 - abs(result.best.parameters["lr"] - 0.1) + 0.002)
    assert json.loads(Path(result.best.receipt).read_text())["job"]["name"] == result.best.job
    assert len(list(Path(result.best.model).parents[1].glob("*/model/model.json"))) == 3
    assert [step.name for step in result.steps][-2:] == ["submit", "tune"]


def test_a_tuning_job_ends_with_one_line_and_leaves_nothing(home: Home, searched: Path) -> None:
    """A metric that never appears is said after the first trial, and the tuning job is cancelled then."""
    with pytest.raises(TrainingError, match="the metric scores never appeared in trial 1: it reported score") as found:
        sweep(searched, search=choices(LR, metric="scores", trials=9, parallel=1, engine="vertex"), verify="off")
    assert "Did you mean score?" in str(found.value)
    store = Store(store_path(home))
    try:
        until(lambda: {job.state for _, job in store.find("1", ())} <= {"JOB_STATE_SUCCEEDED", "JOB_STATE_CANCELLED"})
    finally:
        store.close()
    assert jobs_of(home) < 9
    with pytest.raises(ProjectError, match="has templates of its own"):
        sweep(
            searched, search=choices("lr = { float = [0.1, 0.2], argument = '{value}' }", engine="vertex"), verify="off"
        )
    with pytest.raises(ProjectError, match="takes no more trials once it exists"):
        sweep(searched, search=choices(LR, engine="vertex"), add=2)
