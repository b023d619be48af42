"""Results that Prefect keeps: their form, and records in a result storage that somebody else wrote or changed."""

from __future__ import annotations

import base64
import json
import logging
import pickle
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from packaging.version import parse as parse_version
from prefect import flow, task
from prefect.filesystems import LocalFileSystem
from prefect.results import ResultStore
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings
from prefect.tasks import Task
from prefect_vertex_training.core import errors
from prefect_vertex_training.core.errors import ResultError, TrainingError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.flows.result import StepReport, TrainingResult
from prefect_vertex_training.flows.train import train
from prefect_vertex_training.images.oci.image_types import BuiltImage, LayerReport
from prefect_vertex_training.project.dependencies.freeze import Lock
from prefect_vertex_training.project.dependencies.translate import Entry
from prefect_vertex_training.project.local_run.verify import VerifyReport
from prefect_vertex_training.tasks.step_results import PACKAGE, step_result
from prefect_vertex_training.vertex.job_types import Diagnosis, ModelFile, Outcome, Receipt, SubmittedJob

STEPS = ["fetch", "verify", "freeze", "build", "push", "submit", "watch", "receipt"]
LOCK = Lock("packages = []", "3.11", (("numpy", "2.1.0"),), "d" * 64, "requirements.txt", notes=("a", "b"))
RESULTS: dict[str, Any] = {
    "str": "3f2a1c0" * 5,
    "project.dependencies.freeze.Lock": LOCK,
    "project.local_run.verify.VerifyReport": VerifyReport(1.5, ("python", "train.py"), "3.11", ("model.json",), (), 7),
    "images.oci.image_types.BuiltImage": BuiltImage(
        "r@sha256:1", "sha256:1", "m", 3, [LayerReport("numpy", "sha256:2", 3, "built", 0.5)]
    ),
    "vertex.job_types.SubmittedJob": SubmittedJob("projects/1/customJobs/2", "JOB_STATE_RUNNING", created=1.25),
    "vertex.job_types.Outcome": Outcome(
        "projects/1/customJobs/2",
        "JOB_STATE_FAILED",
        "exit 1",
        Diagnosis("user_code", "failed", "Fix it", False),
        ["Traceback", "\u2028 \ud83d\ude80"],
        2.0,
    ),
    "vertex.job_types.Receipt": Receipt("/m", [ModelFile("a", 1, "0" * 64)], "/m/receipt.json"),
    "flows.result.TrainingResult": TrainingResult("i", "j", "s", "m", files=[{"path": "a", "size": 1}]),
}


@pytest.mark.parametrize("holds", RESULTS)
def test_each_result_comes_back_as_it_was(holds: str) -> None:
    """Type and values, nested ones included; the stored form is JSON that names its type and version."""
    serializer = step_result(holds)
    stored = serializer.dumps(RESULTS[holds])
    found = serializer.loads(stored)

    assert type(found) is type(RESULTS[holds])
    assert serializer.dumps(found) == stored
    assert json.loads(stored)["holds"] == holds
    assert json.loads(stored)["version"] == 1


def test_every_step_and_the_flow_have_their_own_type() -> None:
    """A step without a `StepResult` would keep its results as pickles."""
    steps = [getattr(import_module(f"{PACKAGE}.tasks.{name}"), name) for name in STEPS]

    assert [step.name for step in steps if isinstance(step, Task)] == STEPS
    assert {step.result_serializer.holds for step in steps} | {train.result_serializer.holds} == set(RESULTS)


@pytest.mark.parametrize(
    "error",
    [
        errors.JobFailed("lost", where="here", next_step="Run", detail="d\nd", kind="preempted", retryable=True),
        errors.RegistryUnavailable("cut", retry_after=2.5, status=503, code="X"),
        errors.ProjectError("host is down", transient=True),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_come_back_with_all_they_know(error: TrainingError) -> None:
    """A failed step's exception is kept in the same form."""
    serializer = step_result("vertex.job_types.Outcome")
    found = serializer.loads(serializer.dumps(error))

    assert (type(found), found.arguments()) == (type(error), error.arguments())


def test_other_exceptions_come_back_as_text() -> None:
    """Their classes are not imported by a name from the storage."""
    serializer = step_result("str")

    assert serializer.loads(serializer.dumps(KeyError("x"))) == "KeyError: 'x'"


LOCK_RECORD = {"holds": "project.dependencies.freeze.Lock", "version": 1}
VALUE = json.loads(step_result(LOCK_RECORD["holds"]).dumps(LOCK))["value"]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b"null",
        b"\xff",
        VALUE,
        {**LOCK_RECORD, "version": 2, "value": VALUE},
        {**LOCK_RECORD, "holds": "project.local_run.verify.VerifyReport", "value": VALUE},
        {**LOCK_RECORD},
        {**LOCK_RECORD, "value": None},
        {**LOCK_RECORD, "value": {**VALUE, "more": 1}},
        {**LOCK_RECORD, "value": {name: value for name, value in VALUE.items() if name != "conda"}},
        {**LOCK_RECORD, "value": {**VALUE, "text": 3}},
        {**LOCK_RECORD, "value": {**VALUE, "packages": [["numpy"]]}},
        {**LOCK_RECORD, "value": VALUE, "more": 1},
        {**LOCK_RECORD, "error": {"class": "ProjectError", "what": ["x"]}},
        {**LOCK_RECORD, "error": {"class": "ProjectError", "why": "x"}},
        {**LOCK_RECORD, "error": {"class": "storage_errors", "what": "x"}},
        {**LOCK_RECORD, "error": 3},
    ],
    ids=str,
)
def test_anything_else_is_refused(document: Any) -> None:
    """Another type, version, field or form: never a traceback of the decoder, never a plain dict."""
    blob = document if isinstance(document, bytes) else json.dumps(document).encode()

    with pytest.raises(ResultError, match="can't be used"):
        step_result(LOCK_RECORD["holds"]).loads(blob)


def test_a_result_of_another_type_is_not_written() -> None:
    """The mistake shows where it is made, and not in a later run."""
    with pytest.raises(TypeError, match="Lock"):
        step_result(LOCK_RECORD["holds"]).dumps({"text": ""})


# What a writer to the storage can try: each changes a record so that Prefect alone would run `touch FILE`.


class Payload:
    """Unpickling it runs a command."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def pickled(file: Path) -> str:
    """The payload as Prefect's pickle serializer stores it."""
    return base64.encodebytes(pickle.dumps(Payload(file))).decode()


def named_pickle(record: dict[str, Any], file: Path) -> str:
    """The record names `pickle`."""
    record["metadata"]["serializer"] = {"type": "pickle", "picklelib": "pickle", "picklelib_version": None}
    return json.dumps({**record, "result": pickled(file)})


def named_json_with_a_function(record: dict[str, Any], file: Path) -> str:
    """The record names `json`, which calls a function of the record's choice with each object."""
    record["metadata"]["serializer"] = {"type": "json", "object_decoder": "subprocess.run"}
    return json.dumps({**record, "result": json.dumps({"touch": 1, str(file): 1})})


def named_compressed(record: dict[str, Any], file: Path) -> str:
    """The record names a serializer inside another one."""
    import lzma

    record["metadata"]["serializer"] = {"type": "compressed/pickle"}
    result = base64.encodebytes(lzma.compress(pickled(file).encode())).decode()
    return json.dumps({**record, "result": result})


def old_form(record: dict[str, Any], file: Path) -> str:
    """Prefect's older form: a serializer beside the metadata replaces the one inside."""
    return json.dumps({**record, "serializer": {"type": "pickle", "picklelib": "pickle"}, "result": pickled(file)})


def without_metadata(record: dict[str, Any], file: Path) -> str:
    """A record without metadata means pickle."""
    return json.dumps({"result": pickled(file)})


def named_twice(record: dict[str, Any], file: Path) -> str:
    """Two parsers may disagree on which of two equal keys counts."""
    evil = json.dumps({**record["metadata"], "serializer": {"type": "pickle", "picklelib": "pickle"}})
    result = json.dumps(pickled(file))
    good = json.dumps(record["metadata"])
    return f'{{"metadata": {evil}, "result": {result}, "metadata": {good}, "result": {json.dumps(record["result"])}}}'


def bare_pickle(record: dict[str, Any], file: Path) -> str:
    """No record at all, but what the pickle serializer writes."""
    return pickled(file)


def plain_object(record: dict[str, Any], file: Path) -> str:
    """Prefect would return a result that is no text as it is."""
    return json.dumps({**record, "result": {"text": "", "packages": []}})


def another_steps_result(record: dict[str, Any], file: Path) -> str:
    """A valid record of another step."""
    holds = "vertex.job_types.SubmittedJob"
    record["metadata"]["serializer"] = step_result(holds).model_dump()
    return json.dumps({**record, "result": step_result(holds).dumps(RESULTS[holds]).decode()})


def written_by_an_earlier_version(record: dict[str, Any], file: Path) -> str:
    """Prefect's `json`, as this package kept results before it had a form of its own."""
    from prefect.serializers import JSONSerializer

    record["metadata"]["serializer"] = JSONSerializer().model_dump()
    return json.dumps({**record, "result": JSONSerializer().dumps(LOCK).decode()})


CHANGES = [
    *(named_pickle, named_json_with_a_function, named_compressed, old_form, without_metadata, named_twice),
    *(bare_pickle, plain_object, another_steps_result, written_by_an_earlier_version),
]
RUNS_CODE = {named_pickle, named_json_with_a_function, named_compressed}
if parse_version(version("prefect")) < parse_version("3.9"):  # which refuses to guess a serializer
    RUNS_CODE |= {old_form, without_metadata}


@pytest.fixture
def storage(tmp_path: Path, prefect_server: str):
    """The folder of this test's results."""
    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: tmp_path / "results"}):
        yield tmp_path / "results"


def change(folder: Path, how: Callable[[dict[str, Any], Path], str], file: Path) -> None:
    """Changes every record in a result storage."""
    records = [path for path in folder.iterdir() if path.is_file()]
    assert records
    for path in records:
        record = json.loads(path.read_text())
        if "metadata" not in record:  # a flow's, which Prefect stores without its metadata
            metadata = {"serializer": step_result(record["holds"]).model_dump(), "prefect_version": "3.8.8"}
            record = {"metadata": metadata, "result": path.read_text()}
        path.write_text(how(record, file))


@pytest.mark.prefect
@pytest.mark.parametrize("how", sorted(RUNS_CODE, key=lambda how: how.__name__), ids=lambda how: how.__name__)
def test_prefect_alone_would_run_the_code(storage: Path, tmp_path: Path, how: Callable[..., str]) -> None:
    """The changes below are real attacks: a task with Prefect's own serializer falls for each."""
    calls: list[int] = []

    @task(cache_key_fn=lambda *_: "plain-key", result_serializer="json", persist_result=True)
    def plain() -> str:
        calls.append(1)
        return "fine"

    @flow
    def run() -> None:
        plain()

    run()
    change(storage, how, tmp_path / "touched")
    run()

    assert (tmp_path / "touched").exists()


@pytest.mark.prefect
@pytest.mark.parametrize("how", CHANGES, ids=lambda how: how.__name__)
def test_a_changed_record_is_set_aside_and_the_step_done_again(
    storage: Path, tmp_path: Path, how: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    """With one line; no code of the record runs, and the next run finds the new record."""
    calls: list[int] = []

    @task(
        name="freeze",
        cache_key_fn=lambda *_: "freeze-key",
        result_serializer=step_result("project.dependencies.freeze.Lock"),
        persist_result=True,
    )
    def freeze() -> Lock:
        calls.append(1)
        return LOCK

    @flow
    def run() -> tuple[str | None, Lock]:
        state = freeze(return_state=True)
        return state.name, state.result()  # pyright: ignore[reportReturnType]

    assert run() == ("Completed", LOCK)
    change(storage, how, tmp_path / "touched")
    with caplog.at_level(logging.INFO, "prefect"):
        again = run()
        last = run()

    assert again == ("Completed", LOCK) or how is named_twice
    assert last == ("Cached", LOCK)
    assert not (tmp_path / "touched").exists()
    said = [record.getMessage() for record in caplog.records if "can't be used" in record.getMessage()]
    if how is not named_twice:  # its last keys are the good ones, and only those are decoded
        assert len(calls) == 2
        assert len(said) == 1
        assert said[0].endswith("; freeze is done again")


@pytest.mark.prefect
@pytest.mark.parametrize("how", CHANGES, ids=lambda how: how.__name__)
def test_a_changed_result_of_a_flow_is_refused(storage: Path, tmp_path: Path, how: Callable[..., str]) -> None:
    """Read through the run's state, as a parent flow does: one line, and no code of the record runs."""
    from prefect.client.orchestration import get_client

    made = TrainingResult("i", "j", "s", "m", steps=[StepReport("build", "Cached", 0.5)])

    @flow(result_serializer=step_result("flows.result.TrainingResult"), persist_result=True)
    def trained() -> TrainingResult:
        return made

    run = trained(return_state=True).state_details.flow_run_id
    assert run

    def read() -> object:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(run).state
        assert state is not None
        return state.result(retry_result_failure=False, _sync=True)  # pyright: ignore[reportCallIssue]

    assert read() == made
    change(storage, how, tmp_path / "touched")
    if how is named_twice:
        assert read() == made
    else:
        with pytest.raises(ResultError, match="can't be used"):
            read()
    assert not (tmp_path / "touched").exists()


@pytest.mark.prefect
def test_metadata_in_a_storage_of_its_own_is_checked_too(storage: Path, tmp_path: Path) -> None:
    """Prefect can keep metadata and results apart; then the metadata name the serializer."""
    results, metadata = tmp_path / "r", tmp_path / "m"
    store = ResultStore(
        result_storage=LocalFileSystem(basepath=str(results)),
        metadata_storage=LocalFileSystem(basepath=str(metadata)),
        serializer=step_result("project.dependencies.freeze.Lock"),
        cache_result_in_memory=False,
    )

    @flow(result_serializer=step_result("project.dependencies.freeze.Lock"))
    def reads() -> tuple[bool, object]:
        return store.exists("key"), store.read("key").result if store.exists("key") else None

    store.write(LOCK, key="key")
    before = reads()
    (file,) = metadata.iterdir()
    record = json.loads(file.read_text())
    record["serializer"] = {"type": "pickle", "picklelib": "pickle"}
    file.write_text(json.dumps(record))
    for result in results.iterdir():
        result.write_text(pickled(tmp_path / "touched"))
    after = reads()

    assert before == (True, LOCK)
    assert after == (False, None)
    assert not (tmp_path / "touched").exists()


@pytest.mark.prefect
def test_results_of_other_tasks_stay_prefects_matter(storage: Path) -> None:
    """Somebody's own task in the same process may keep whatever it likes."""

    @task(cache_key_fn=lambda *_: "own-key", persist_result=True)
    def own() -> set[int]:
        return {1, 2}

    @flow
    def run() -> tuple[str | None, set[int]]:
        state = own(return_state=True)
        return state.name, state.result()  # pyright: ignore[reportReturnType]

    assert run() == ("Completed", {1, 2})
    assert run() == ("Cached", {1, 2})


@pytest.mark.prefect
def test_a_whole_run_over_changed_results(
    home: Home, project: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The train flow does verify and freeze again, with one line each, and its image is unchanged."""
    first = train(project)
    change(tmp_path / "results", named_pickle, tmp_path / "touched")
    with caplog.at_level(logging.WARNING, "prefect"):
        second = train(project)

    assert [step.state for step in second.steps[:4]] == ["Completed", "Completed", "Cached", "Cached"]
    assert second.image == first.image
    said = [record.getMessage() for record in caplog.records if "can't be used" in record.getMessage()]
    assert [line.rpartition("; ")[2] for line in said] == ["verify is done again", "freeze is done again"]
    assert not (tmp_path / "touched").exists()


def test_entries_of_a_lock_come_back(tmp_path: Path) -> None:
    """A list with changed lines, as a conda list has."""
    lock = Lock("", "3.11", (), "d", changes=(Entry("environment.yml:3", "mkl", "dropped", "", "no counterpart"),))
    serializer = step_result("project.dependencies.freeze.Lock")

    assert serializer.loads(serializer.dumps(lock)) == lock
