"""The whole of step 5 against local_vertex: real processes, real lines, a service that loses answers and is killed."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.google.schema_cache import with_schema
from fixtures.images.script_image import script_image
from prefect_vertex_training.core.errors import ModelMissing, VertexError, VertexUnavailable
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import lifecycle
from prefect_vertex_training.local_vertex.client import admin
from prefect_vertex_training.local_vertex.faults import Faults
from prefect_vertex_training.vertex.client.connection import LOCAL, Connection
from prefect_vertex_training.vertex.job_types import JobRequest, LogLine, Outcome, SubmittedJob
from prefect_vertex_training.vertex.receipt.model_files import list_model
from prefect_vertex_training.vertex.submit.cancellation import cancel, cancel_by_key
from prefect_vertex_training.vertex.submit.intent import IntentFile
from prefect_vertex_training.vertex.submit.submission import find, job_key, submit
from prefect_vertex_training.vertex.watch.watch import watch

DEFAULTS = Faults().values()

SCRIPT = """\
import os, pathlib, sys, time

witness, seconds, what = sys.argv[1], float(sys.argv[2]), sys.argv[3]
with open(witness, "a") as file:
    file.write("started\\n")
print("epoch 1", flush=True)
time.sleep(seconds)
if what == "fail":
    raise ValueError("no rows in train.csv")
if what.startswith("save"):
    place = os.environ["AIP_MODEL_DIR" if what == "save" else "VERTEX_TRAINING_MODEL_DIR"]
    folder = pathlib.Path(place.replace("gs://", "/gcs/"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.bin").write_bytes(b"weights")
print("epoch 2", flush=True)
"""


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image without a base that holds the script above."""
    folder = tmp_path_factory.mktemp("image")
    script = folder / "train.py"
    script.write_text(SCRIPT)
    return script_image(script, folder / "layout", folder / "cache")


@pytest.fixture(scope="session")
def local_home(tmp_path_factory: pytest.TempPathFactory, schema_cache: Path) -> Iterator[Home]:
    """A home whose service is ended after the session; tests may kill it, the next call starts it again."""
    home = with_schema(Home(tmp_path_factory.mktemp("h")), schema_cache)
    yield home
    lifecycle.stop(home)


@pytest.fixture
def local(local_home: Home) -> Connection:
    """A connection of the test's own."""
    return Connection.local(local_home)


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key of the test's own; it also names the folder that the job writes to."""
    return job_key(request.node.nodeid)


@pytest.fixture
def switch(local: Connection, local_home: Home) -> Iterator[Callable[..., None]]:
    """Sets the service's switches while it runs; afterwards all are as before."""

    def run(**changes: object) -> None:
        admin(lifecycle.ensure_running(local_home), "Switches", changes)

    yield run
    run(**DEFAULTS)


@pytest.fixture
def witness(tmp_path: Path) -> Path:
    """Every start of the script leaves a line here."""
    return tmp_path / "witness"


@pytest.fixture
def wanted(local: Connection, image: str, witness: Path, key: str) -> Callable[..., JobRequest]:
    """A request for a run of the script: how long, and what it does."""

    def make(seconds: float = 0.0, what: str = "save") -> JobRequest:
        output = f"gs://{local.bucket}/{key}"
        return JobRequest(display_name="tiny", image=image, output=output, args=[str(witness), str(seconds), what])

    return make


@pytest.fixture
def run(local: Connection, key: str) -> Callable[[JobRequest], Outcome]:
    """Submits and watches; lines and states are dropped."""

    def go(request: JobRequest) -> Outcome:
        job = submit(local, request, key, record=lambda _: None)
        return watch(local, job.name, on_state=lambda _: None, on_lines=lambda _: None)

    return go


def test_from_submission_to_receipt(local: Connection, wanted: Callable[..., JobRequest], key: str) -> None:
    """The job runs once, its lines and states arrive, its model is listed with its checksum."""
    states: list[str] = []
    lines: list[LogLine] = []
    job = submit(local, wanted(0.3), key, record=lambda _: None)
    outcome = watch(local, job.name, on_state=states.append, on_lines=lines.extend)
    found = list_model(local, f"gs://local/{key}")

    assert outcome.state == "JOB_STATE_SUCCEEDED", outcome
    assert states[-1] == "JOB_STATE_SUCCEEDED"
    assert [line.message for line in lines if line.task == "workerpool0-0"] == ["epoch 1", "epoch 2"]
    assert [("model.bin", 7, hashlib.sha256(b"weights").hexdigest())] == [
        (file.path, file.size, file.sha256) for file in found.files
    ]
    assert (Path(found.model) / "model.bin").read_bytes() == b"weights"
    assert submit(local, wanted(0.3), key, record=lambda _: None).adopted


def test_a_script_may_use_the_path_instead(
    local: Connection, wanted: Callable[..., JobRequest], run: Callable[[JobRequest], Outcome], key: str
) -> None:
    """What is written to VERTEX_TRAINING_MODEL_DIR, a path below /gcs, is in the folder that AIP_MODEL_DIR names."""
    assert run(wanted(what="save by path")).state == "JOB_STATE_SUCCEEDED"

    assert [file.path for file in list_model(local, f"gs://local/{key}").files] == ["model.bin"]


def test_a_failure_is_diagnosed(wanted: Callable[..., JobRequest], run: Callable[[JobRequest], Outcome]) -> None:
    """The exception of the user's script is in the diagnosis, with the next step."""
    outcome = run(wanted(what="fail"))

    assert outcome.state == "JOB_STATE_FAILED"
    assert outcome.diagnosis
    assert "the training code failed with ValueError: no rows in train.csv. Fix it" in str(outcome.diagnosis)
    assert (outcome.diagnosis.kind, outcome.diagnosis.retryable) == ("user_code", False)


def test_no_model_names_the_folder(
    local: Connection,
    local_home: Home,
    wanted: Callable[..., JobRequest],
    run: Callable[[JobRequest], Outcome],
    key: str,
) -> None:
    """Both forms: the folder here, and what the job knows it as."""
    assert run(wanted(what="nothing")).state == "JOB_STATE_SUCCEEDED"

    with pytest.raises(ModelMissing) as caught:
        list_model(local, f"gs://local/{key}")

    assert str(local_home.vertex) in str(caught.value)
    assert f"gs://local/{key}/model/" in str(caught.value)


@pytest.mark.parametrize(
    "faults",
    [
        {"create_lost": 1},
        {"create_lost": 1, "list_lag_seconds": 0.5},
        {"unavailable": 6},
        {"unavailable": 2, "fault_method": "CreateCustomJob"},
        {"unavailable": 3, "fault_method": "ListCustomJobs"},
        {"unavailable": 3, "fault_method": "GetCustomJob"},
        {"unavailable": 3, "fault_method": "ListLogEntries"},
    ],
    ids=str,
)
def test_lost_answers_make_one_job(
    local: Connection,
    wanted: Callable[..., JobRequest],
    switch: Callable[..., None],
    run: Callable[[JobRequest], Outcome],
    witness: Path,
    faults: dict[str, object],
    key: str,
) -> None:
    """Whatever the service loses, the script starts once and the watch ends well."""
    switch(**faults)

    assert run(wanted()).state == "JOB_STATE_SUCCEEDED"
    assert witness.read_text() == "started\n"
    assert len(find(local, key)) == 1


def test_a_list_that_lags_by_seconds(
    local_home: Home, wanted: Callable[..., JobRequest], switch: Callable[..., None], witness: Path, key: str
) -> None:
    """The answer to the create is lost, and the job turns up late: it is waited for, not created again."""
    patient = Connection.local(local_home, pace=replace(LOCAL, settle=8))
    switch(create_lost=1, list_lag_seconds=5)
    job = submit(patient, wanted(), key, record=lambda _: None)

    assert watch(patient, job.name, on_state=lambda _: None, on_lines=lambda _: None).state == "JOB_STATE_SUCCEEDED"
    assert witness.read_text() == "started\n"
    assert [found.name for found in find(patient, key)] == [job.name]


@pytest.mark.parametrize(
    ("fault", "kind", "retryable"),
    [("stock_out", "stock_out", True), ("preempt", "preempted", True), ("out_of_memory", "out_of_memory", False)],
)
def test_the_platforms_failures_are_diagnosed(
    local: Connection,
    wanted: Callable[..., JobRequest],
    switch: Callable[..., None],
    run: Callable[[JobRequest], Outcome],
    key: str,
    fault: str,
    kind: str,
    retryable: bool,
) -> None:
    """The service's own words become a kind that says whether a new job could do better; one job, one attempt."""
    switch(**{fault: 20})
    outcome = run(wanted(2.0))

    assert outcome.state == "JOB_STATE_FAILED"
    assert outcome.diagnosis
    assert (outcome.diagnosis.kind, outcome.diagnosis.retryable) == (kind, retryable)
    assert len(find(local, key)) == 1


def test_a_missing_image_is_another_failure_than_bad_code(
    wanted: Callable[..., JobRequest], run: Callable[[JobRequest], Outcome]
) -> None:
    """Nothing of the user's ran."""
    request = wanted()
    outcome = run(replace(request, image=f"{request.image.partition('@')[0]}@sha256:{'0' * 64}"))

    assert outcome.diagnosis
    assert outcome.diagnosis.kind == "image_pull"


def test_an_exceeded_time_limit_is_named(
    wanted: Callable[..., JobRequest], run: Callable[[JobRequest], Outcome]
) -> None:
    """A script that hangs is stopped, and that is what the run says."""
    outcome = run(replace(wanted(600), timeout=1))

    assert outcome.diagnosis
    assert outcome.diagnosis.kind == "time_limit"


def test_a_refused_account_names_the_command(
    local: Connection,
    wanted: Callable[..., JobRequest],
    switch: Callable[..., None],
    key: str,
) -> None:
    """No actAs right arrives as INVALID_ARGUMENT; the message gives the binding."""
    account = "trainer@local.iam.gserviceaccount.com"
    switch(refused_service_account=account)

    with pytest.raises(VertexError, match=f"add-iam-policy-binding {account} .*serviceAccountUser") as caught:
        submit(local, replace(wanted(), service_account=account), key, record=lambda _: None)

    assert caught.value.kind == "permission"
    assert find(local, key) == []


def test_a_used_up_quota_is_transient(
    local: Connection,
    wanted: Callable[..., JobRequest],
    switch: Callable[..., None],
    key: str,
) -> None:
    """Nothing was created, and trying again later can help."""
    switch(resource_exhausted=1)

    with pytest.raises(VertexUnavailable, match="quota") as caught:
        submit(local, wanted(), key, record=lambda _: None)

    assert caught.value.kind == "quota"
    assert find(local, key) == []


def test_cancel_is_confirmed(local: Connection, wanted: Callable[..., JobRequest], key: str) -> None:
    """By name and by key, and again."""
    job = submit(local, wanted(60), key, record=lambda _: None)

    assert cancel(local, job.name) == "JOB_STATE_CANCELLED"
    assert [job.state for job in cancel_by_key(local, key)] == ["JOB_STATE_CANCELLED"]


def kill(home: Home) -> None:
    """The service dies at once and says nothing."""
    running = lifecycle.find(home)
    assert running is not None
    os.kill(running.pid, signal.SIGKILL)


def test_a_killed_service_is_started_again_and_the_job_found(
    local: Connection,
    local_home: Home,
    wanted: Callable[..., JobRequest],
    witness: Path,
    key: str,
) -> None:
    """Killed while the job runs: the same watch continues to the job's end, and the script ran once."""
    job = submit(local, wanted(1.5), key, record=lambda _: None)
    seen: list[str] = []
    killed = threading.Event()

    def on_lines(lines: Sequence[LogLine]) -> None:
        seen.extend(line.message for line in lines)
        if "epoch 1" in seen and not killed.is_set():
            kill(local_home)
            killed.set()

    outcome = watch(local, job.name, on_state=lambda _: None, on_lines=on_lines)

    assert (outcome.name, outcome.state) == (job.name, "JOB_STATE_SUCCEEDED")
    assert killed.is_set()
    assert [message for message in seen if message.startswith("epoch")] == ["epoch 1", "epoch 2"]
    assert witness.read_text() == "started\n"


def test_a_service_killed_before_the_submit_is_started_again(
    local: Connection,
    local_home: Home,
    wanted: Callable[..., JobRequest],
    key: str,
) -> None:
    """The first call finds no service and starts a new one."""
    kill(local_home)

    assert not submit(local, wanted(60), key, record=lambda _: None).adopted
    assert len(find(local, key)) == 1
    cancel_by_key(local, key)


SUBMITTER = """\
import sys
from pathlib import Path
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.vertex.client.connection import Connection
from prefect_vertex_training.vertex.job_types import JobRequest
from prefect_vertex_training.vertex.submit.intent import IntentFile
from prefect_vertex_training.vertex.submit.submission import submit

home, key, image, witness = Home(Path(sys.argv[1])), *sys.argv[2:5]
connection = Connection.local(home)
connection.jobs
print("ready", flush=True)
sys.stdin.readline()
intent = IntentFile(home.cache / "intents", key)
request = JobRequest(
    display_name="tiny", image=image, output=f"gs://local/{key}", args=[witness, "60", "save"]
)
print(submit(connection, request, key, record=intent.record, recorded=intent.read()).name, flush=True)
"""


def submitter(home: Home, key: str, request: JobRequest) -> subprocess.Popen[str]:
    """A process that submits when it gets a line."""
    command = [sys.executable, "-c", SUBMITTER, str(home.root), key, request.image, request.args[0]]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def go(process: subprocess.Popen[str]) -> None:
    """Lets a submitter begin."""
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def test_processes_that_submit_at_once_and_are_killed_leave_one_job(
    local: Connection,
    local_home: Home,
    wanted: Callable[..., JobRequest],
    key: str,
) -> None:
    """Three processes at the same moment, two of them killed somewhere in the middle; a fourth finds the one job."""
    processes = [submitter(local_home, key, wanted()) for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        go(process)
    for delay, process in enumerate(processes[:2]):
        threading.Event().wait(0.005 * (1 + delay))
        process.kill()
    for process in processes:
        process.communicate(timeout=60)

    intent = IntentFile(local_home.cache / "intents", key)
    job = submit(local, wanted(60), key, record=intent.record, recorded=intent.read())
    live = [found for found in find(local, key) if is_live(found)]
    cancel_by_key(local, key)

    assert [job.name] == [found.name for found in live]


def is_live(job: SubmittedJob) -> bool:
    """Neither ended nor ending."""
    return job.state in {"JOB_STATE_PENDING", "JOB_STATE_QUEUED", "JOB_STATE_RUNNING"}
