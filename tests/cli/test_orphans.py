"""Live jobs whose flow run is over: found, and cancelled only when it is certain that no run needs them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from fixtures.images.script_image import script_image
from prefect import flow, settings
from prefect.client.orchestration import get_client
from prefect.states import Crashed, Pending, Running, State
from prefect_vertex_training.cli.commands.orphans import age
from prefect_vertex_training.cli.main import main
from prefect_vertex_training.core.errors import ProjectError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.flows.history.orphans import end_orphan, find_orphans
from prefect_vertex_training.vertex.client.connection import Connection
from prefect_vertex_training.vertex.job_types import JobRequest
from prefect_vertex_training.vertex.submit.cancellation import cancel
from prefect_vertex_training.vertex.submit.submission import job_key, submit

pytestmark = pytest.mark.prefect


@flow(name="orphaned")
def orphaned() -> None:
    """A flow whose runs the tests create."""


@pytest.fixture
def run_in() -> Callable[[State], str]:
    """Makes a flow run in a state; returns its id."""

    def make(state: State) -> str:
        with get_client(sync_client=True) as client:
            run = client.create_flow_run(orphaned, state=Pending())
            client.set_flow_run_state(run.id, state, force=True)
            return str(run.id)

    return make


@pytest.fixture
def job_of(home: Home, project: Path) -> Iterator[Callable[[str], str]]:
    """Starts a job that runs for ten minutes, labelled with a run's id; returns its name. Cancelled at the end."""
    script = project / "train.py"
    image = script_image(script, home.images, home.cache)
    connection = Connection.local(home)
    started: list[str] = []

    def start(run: str) -> str:
        request = JobRequest(
            display_name="endless",
            image=image,
            output="gs://local/out",
            command=["sleep", "600"],
            labels={"prefect_flow_run": run},
        )
        started.append(submit(connection, request, job_key(run), record=lambda _: None).name)
        return started[-1]

    yield start
    for name in started:
        cancel(connection, name)


def states(home: Home) -> dict[str, str]:
    """The state of every job by the job's name."""
    connection = Connection.local(home)
    jobs = connection.jobs.list_custom_jobs(parent=connection.parent)
    return {job.name: job.state.name.removeprefix("JOB_STATE_") for job in jobs}


def orphans(*words: str) -> int:
    """The command's exit code."""
    with pytest.raises(SystemExit) as ended:
        main(["orphans", *words])
    return int(ended.value.code or 0)


def test_only_the_jobs_of_ended_runs_are_cancelled(
    home: Home, run_in: Callable[[State], str], job_of: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A crashed run's job is cancelled; a live run's job is not listed; an unknown run's needs --unknown, too."""
    lost, live, unknown = run_in(Crashed()), run_in(Running()), str(uuid4())
    names = {run: job_of(run) for run in (lost, live, unknown)}

    assert orphans() == 0
    listed = capsys.readouterr()
    assert orphans("--cancel", "--json") == 0
    entries = {entry["run"]: entry for entry in json.loads(capsys.readouterr().out)}
    after = states(home)
    assert orphans("--cancel", "--unknown") == 0

    assert names[lost] in listed.out
    assert names[unknown] in listed.out
    assert names[live] not in listed.out
    assert "--unknown" in listed.err
    assert {run: entry["run_state"] for run, entry in entries.items()} == {lost: "CRASHED", unknown: "unknown"}
    assert {run: entry["result"] for run, entry in entries.items()} == {lost: "cancelled", unknown: "left"}
    assert after[names[lost]] == "CANCELLED"
    assert {after[names[live]], after[names[unknown]]} <= {"PENDING", "RUNNING"}
    assert states(home)[names[unknown]] == "CANCELLED"
    assert states(home)[names[live]] in {"PENDING", "RUNNING"}


def test_a_server_that_does_not_answer_makes_no_orphan(
    home: Home, run_in: Callable[[State], str], job_of: Callable[[str], str]
) -> None:
    """An unanswered question is not taken for an unknown run: nothing is listed or cancelled."""
    job = job_of(run_in(Running()))
    away = {settings.PREFECT_API_URL: "http://127.0.0.1:9/api", settings.PREFECT_CLIENT_MAX_RETRIES: 0}

    with settings.temporary_settings(away), pytest.raises(ProjectError, match="can't tell"):
        find_orphans(Connection.local(home))

    assert states(home)[job] in {"PENDING", "RUNNING"}


def test_a_run_that_is_live_again_keeps_its_job(
    home: Home, run_in: Callable[[State], str], job_of: Callable[[str], str]
) -> None:
    """The job of a run that was retried after the listing is not cancelled."""
    run = run_in(Crashed())
    job = job_of(run)
    connection = Connection.local(home)
    (orphan,) = find_orphans(connection)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(orphan.run, Running(timestamp=datetime.now(UTC)), force=True)  # pyright: ignore[reportArgumentType]

    assert not end_orphan(connection, orphan)
    assert states(home)[job] in {"PENDING", "RUNNING"}


@pytest.mark.parametrize(("seconds", "text"), [(-1, "0s"), (59, "59s"), (3720, "1h02m"), (90_000, "1d01h")])
def test_ages_are_short(seconds: float, text: str) -> None:
    """Seconds, then hours and minutes, then days and hours."""
    assert age(seconds) == text
