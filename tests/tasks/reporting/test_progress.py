"""How far a training is, by what it prints."""

from __future__ import annotations

import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.tasks.reporting.progress import (
    SHARES,
    Progress,
    followed,
    part_done,
    show_line,
    show_state,
    shown,
    step_meters,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("epoch 3/20: loss 0.3", ("epoch", 0.15)),
        ("Epoch: 3 of 20", ("epoch", 0.15)),
        ("Epoch [5/10] done", ("epoch", 0.5)),
        ("step 100/400", ("step", 0.25)),
        ("iter 1/4", ("iteration", 0.25)),
        ('{"epoch": 3, "epochs": 20}', ("epoch", 0.15)),
        ('{"step": 1, "max_steps": 4}', ("step", 0.25)),
        ("read 3/4 of the files", None),
        ("epoch 7/3", None),
        ("epoch 3/0", None),
        ('{"epoch": true, "epochs": 2}', None),
        ('{"epoch": "3", "epochs": 20}', None),
    ],
)
def test_a_line_says_how_far_the_training_is(text: str, expected: object) -> None:
    """As frameworks write it, in words or in JSON."""
    fields = json.loads(text) if text.startswith("{") else {}

    assert part_done(text, fields) == expected


@given(st.text(), st.dictionaries(st.sampled_from(["epoch", "epochs", "step", "total_steps", "loss"]), st.floats()))
def test_no_line_breaks_it(text: str, fields: dict[str, float]) -> None:
    """Whatever a training prints, the answer is a part of the whole or nothing."""
    found = part_done(text, fields)

    assert found is None or 0 <= found[1] <= 1


@given(st.lists(st.one_of(st.sampled_from([*SHARES, "other"]), st.floats(-1, 2))))
def test_the_bar_never_goes_back(moves: list[str | float]) -> None:
    """Steps in any order, a training that starts its count again: the bar stays or grows, up to 100."""
    progress = Progress(clock=lambda: 0.0)  # no time passes: nothing is written
    seen = [progress.percent]
    for move in moves:
        if isinstance(move, str):
            progress.finish()
            progress.begin(move)
        else:
            progress.inside(move, "training")
        seen.append(progress.percent)

    assert seen == sorted(seen)
    assert 0 <= seen[-1] <= 100


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")  # it moves the bar's artifact; without a server Prefect starts one for that
def test_a_step_says_what_it_counts_or_does() -> None:
    """Bytes if it counts any, else its phase: with a limit until parts of it are known, then with the time left."""
    now = [0.0]
    progress = Progress(clock=lambda: now[0])
    progress.begin("build")
    now[0] = 5.0
    assert str(progress.view().readings[0]) == "building the image 0:05"

    progress.meters["downloading"].item(100).add(40)
    assert [str(found) for found in progress.view().readings] == ["downloading 40/100 bytes"]
    progress.tick()
    assert progress.percent == pytest.approx(SHARES["build"] * 0.4)

    progress.finish()
    assert progress.view().step == ""
    progress.begin("verify")
    progress.phase("running the script here", 600.0)
    now[0] = 35.0
    assert str(progress.view().readings[0]) == "running the script here 0:30 of at most 10:00"
    progress.inside(0.25, "the small workload: 25% of its epochs")
    found = progress.view().readings[0]
    assert (found.part, found.remaining) == (0.25, "1:30 left")


def test_a_jobs_states_are_phases() -> None:
    """The machine that a job waits for is named, and how long it waits at most."""
    progress = Progress(clock=lambda: 0.0)
    progress.begin("watch")
    progress.expect_machine("a2-highgpu-1g", 1800.0)
    with shown(progress):
        show_state("JOB_STATE_PENDING")
        assert str(progress.view().readings[0]) == "waiting for a machine: a2-highgpu-1g 0:00 of at most 30:00"
        show_state("JOB_STATE_RUNNING")
        assert str(progress.view().readings[0]) == "training 0:00"
        show_state("JOB_STATE_SUCCEEDED")
        show_line("the small workload", '{"epoch": 1, "epochs": 4}')
        show_line("the small workload", "{no json 3/4")
        assert progress.view().readings[0].what == "the small workload: 25% of its epochs"


def test_who_follows_gets_the_runs_progress() -> None:
    """As the command line does, before the run has made it."""
    seen: list[Progress] = []
    with followed(seen.append):
        progress = Progress()
        progress.begin("freeze")
    progress.begin("build")

    assert seen == [progress]


@pytest.mark.prefect
def test_the_artifact_moves_with_the_bytes(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run's progress artifact shows what a step counts while it goes on, and at the end that it ended."""
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
    from prefect.runtime import flow_run

    monkeypatch.setattr("prefect_vertex_training.tasks.reporting.progress.EVERY", 0.05)
    texts: list[str] = []

    def read(run: str) -> tuple[str, float] | None:
        with get_client(sync_client=True) as client:
            wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(run)]))
            found = client.read_artifacts(artifact_filter=wanted)
        return (str(found[0].description), float(str(found[0].data))) if found else None

    @flow
    def slow() -> str:
        run = str(flow_run.id)
        progress = Progress()
        progress.begin("build")
        with shown(progress):
            item = step_meters()["downloading"].item(200)
            while not (texts and texts[-1].startswith("downloading 150/200")):
                item.add(150 - item._done)
                if found := read(run):
                    texts.append(found[0])
        progress.finish()
        progress.close("finished", whole=True)
        return run

    assert read(slow()) == ("finished", 100.0)


def test_the_steps_fill_the_bar() -> None:
    """The shares of all steps add up to 100 percent."""
    assert sum(SHARES.values()) == 100
