"""Why a job ended, in one line, from the service's recorded words and the job's last lines."""

from __future__ import annotations

from typing import get_args

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.vertex.diagnosis import diagnose, kind_of_refusal
from prefect_vertex_training.vertex.failure_rules import REFUSED, RULES, Failure, matching_rule
from prefect_vertex_training.vertex.job_types import Diagnosis, Kind, LogLine, State
from prefect_vertex_training.vertex.tracebacks import last_exception

EXIT = "The replica workerpool0-0 exited with a non-zero status of {}. Termination reason: {}. To find out more ..."
TRACEBACK = """Loading
Traceback (most recent call last):
  File "/app/train.py", line 7, in <module>
    main()
  File "/app/train.py", line 5, in main
    raise ValueError("no rows")
ValueError: no rows"""
CHAINED = f"""{TRACEBACK}

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/train.py", line 9, in <module>
RuntimeError: training failed: no rows
bye"""


def lines(text: str, task: str = "workerpool0-0") -> list[LogLine]:
    """A text as the log has it."""
    return [LogLine(float(i), "ERROR", line, task) for i, line in enumerate(text.splitlines())]


def failed(text: str, tail: str = "", code: int = 3) -> Diagnosis:
    """The diagnosis of a job that FAILED."""
    found = diagnose("JOB_STATE_FAILED", code, text, lines(tail))
    assert found is not None
    return found


def raised(exception: str) -> str:
    """A program's last words."""
    return f"Traceback (most recent call last):\n  File x\n{exception}"


ONE = EXIT.format(1, "Error")

WITH_TRACEBACK = (
    "The replica workerpool0-0 exited with a non-zero status of 1. Termination reason: Error. \n"
    'Traceback (most recent call last):\n  File "/app/train.py", line 3, in <module>\n    main()\n{}\n\n'
    "To find out more about why your job exited please check the logs: https://console.cloud.google.com/logs/viewer"
)

FAILURES = [
    (ONE, TRACEBACK, "user_code", "failed with ValueError: no rows. Fix it", False),
    (ONE, CHAINED, "user_code", "failed with RuntimeError: training failed: no rows", False),
    (
        ONE,
        raised("ModuleNotFoundError: No module named 'sklearn.x'"),
        "user_code",
        "provides sklearn to the proj",
        False,
    ),
    (ONE, "usage: train.py\ntrain.py: error: no such option", "user_code", "status 1: train.py: error:", False),
    (EXIT.format(3, "Error"), "", "user_code", "status 3, and wrote nothing", False),
    (EXIT.format(139, "Error"), "", "user_code", "segmentation fault", False),
    (EXIT.format(134, "Error"), "", "user_code", "SIGABRT", False),
    (EXIT.format(132, "Error"), "", "user_code", "another processor", False),
    (EXIT.format(127, "Error"), "", "user_code", "the command was not found", False),
    (EXIT.format(128, "StartError"), "", "user_code", "command can't be started. Check", False),
    (
        EXIT.format(128, "StartError").replace("To find out more ...", "exec: /a.sh: no such file or directory"),
        "",
        "user_code",
        "command can't be started: exec: /a.sh: no such file or directory. Check",
        False,
    ),
    (EXIT.format(137, "Error"), "", "out_of_memory", "was killed (exit status 137)", False),
    (
        ONE,
        raised("torch.distributed.elastic.multiprocessing.api.SignalException: Process 1 got signal: 15"),
        "preempted",
        "torchrun was ended from outside",
        True,
    ),
    (EXIT.format(143, "Error"), TRACEBACK, "preempted", "its machine was taken away", True),
    (
        ONE,
        raised("torch.OutOfMemoryError: CUDA out of memory. Tried to ..."),
        "out_of_memory",
        "the GPU ran out",
        False,
    ),
    (
        ONE,
        raised("jaxlib.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory"),
        "out_of_memory",
        "the GPU ran out",
        False,
    ),
    (
        ONE,
        raised("RuntimeError: Error(s) in loading state_dict for Net: size mismatch for fc.weight"),
        "user_code",
        "the checkpoint is of another model: RuntimeError: Error(s) in loading",
        False,
    ),
    (ONE, raised("MemoryError"), "out_of_memory", "the job ran out of memory: MemoryError", False),
    (ONE, raised("numpy.core._exceptions._ArrayMemoryError: Unable"), "out_of_memory", "with more memory", False),
    (
        "Replicas low on memory: workerpool0. Specify a machine with larger memory and try again.",
        TRACEBACK,
        "out_of_memory",
        "the job ran out of memory: ValueError: no rows",
        False,
    ),
    (
        ONE,
        raised("google.api_core.exceptions.Forbidden: 403 GET https://storage: t@p does not have storage.objects.get"),
        "permission",
        "the training code was refused access: google.api_core.exceptions.Forbidden",
        False,
    ),
    ("The service account t@p does not have the required permissions.", "", "permission", "is missing", False),
    (
        "Resources are insufficient in region: us-central1. Please try a different region or ...",
        "",
        "stock_out",
        "no machine of this kind was free in us-central1. Try again later, or another region",
        True,
    ),
    (
        "The following quota metrics exceed quota limits: aiplatform.googleapis.com/custom_model_training_cpus",
        "",
        "quota",
        "a quota was used up: aiplatform.googleapis.com/custom_model_training_cpus",
        True,
    ),
    ("The replica workerpool0-0 was preempted.", "", "preempted", "taken back (Spot)", True),
    ("Internal error occurred for the current attempt", "", "internal", "internal error", True),
    ("Failed to pull the image europe-docker.pkg.dev/p/r/x: not found", "", "image_pull", "service agent", False),
    ("there is no such image (oci:/x). Build it", "", "image_pull", "can't be pulled", False),
    ("The job exceeded its time limit: it ran longer", "", "time_limit", "Set a longer `timeout`", False),
    (
        "Replicas low on disk: workerpool0. Specify a larger bootDiskSizeGb https://cloud.google.com/x and try again.",
        "",
        "out_of_disk",
        "the job's disk was full. Set a larger `boot-disk-gb`",
        False,
    ),
    (ONE, raised("OSError: [Errno 28] No space left on device: 'x'"), "out_of_disk", "boot-disk-gb", False),
    ("The job failed with code STOCKOUT.", "", "stock_out", "no machine of this kind was free", True),
    # The error holds the program's traceback: its words are the program's, not the service's.
    (
        WITH_TRACEBACK.format("TimeoutError: the read timed out, quota used up, out of memory"),
        "",
        "user_code",
        "failed with TimeoutError: the read timed out",
        False,
    ),
    (WITH_TRACEBACK.format("MemoryError"), TRACEBACK, "out_of_memory", "ran out of memory: MemoryError", False),
    ("", "", "user_code", "no reason was given", False),
    ("Something new", TRACEBACK, "user_code", "Something new: ValueError: no rows", False),
]


@pytest.mark.parametrize(("text", "tail", "kind", "said", "retryable"), FAILURES)
def test_recorded_failures(text: str, tail: str, kind: str, said: str, retryable: bool) -> None:
    """Each of the texts that were seen has its kind, says what happened, and whether a new job could end otherwise."""
    found = failed(text, tail)

    assert kind == found.kind
    assert said in str(found)
    assert retryable == found.retryable
    assert "\n" not in str(found)


def test_an_empty_error_leaves_the_log() -> None:
    """A job that FAILED with `error: {}` is explained by its program's last exception, or not at all."""
    assert failed("", TRACEBACK, code=0).kind == "user_code"
    assert "failed with ValueError: no rows" in str(failed("", TRACEBACK, code=0))
    assert str(failed("", "", code=0)) == "JOB_STATE_FAILED: no reason was given. Read its log"


def test_entries_of_several_lines_with_the_runtimes_prefix() -> None:
    """A container runtime's time and stream before a line are no part of the line."""
    prefix = "2026-05-10T02:24:21.495756405Z {} F"
    entries = [
        LogLine(1.0, "DEFAULT", f"{prefix.format('stdout')} \nepoch 1\nepoch 2", "workerpool0-0"),
        LogLine(2.0, "DEFAULT", f"{prefix.format('stderr')} Traceback (most recent call last):", "workerpool0-0"),
        LogLine(2.0, "DEFAULT", f'{prefix.format("stderr")}   File "/app/train.py", line 1', "workerpool0-0"),
        LogLine(2.0, "DEFAULT", f"{prefix.format('stdout')} epoch 3", "workerpool0-0"),
        LogLine(2.0, "DEFAULT", f"{prefix.format('stderr')} KeyError: 'loss'", "workerpool0-0"),
    ]
    found = diagnose("JOB_STATE_FAILED", 3, ONE, entries)

    assert "failed with KeyError: 'loss'" in str(found)


def test_the_services_last_line_is_not_the_programs() -> None:
    """The line "Job failed." ends every log, and says nothing."""
    tail = [
        LogLine(1.0, "INFO", "train.py: error: no such option", "workerpool0-0"),
        LogLine(2.0, "ERROR", ONE, "service"),
        LogLine(3.0, "INFO", "Job failed.", "service"),
    ]
    found = diagnose("JOB_STATE_FAILED", 3, ONE, tail)

    assert "no such option" in str(found)


CODES = {
    0: "unknown",
    1: "cancelled",
    2: "unknown",
    3: "user_code",
    4: "time_limit",
    5: "unknown",
    6: "unknown",
    7: "permission",
    8: "quota",
    9: "unknown",
    10: "internal",
    11: "unknown",
    12: "unknown",
    13: "internal",
    14: "internal",
    15: "internal",
    16: "permission",
}


@pytest.mark.parametrize("code", grpc.StatusCode, ids=lambda code: code.name)
def test_every_status_code_is_mapped(code: grpc.StatusCode) -> None:
    """Of a job that failed without a word, and of a call that was refused; a code that a new gRPC brings fails here."""
    number = code.value[0]

    assert failed("???", code=number).kind == CODES[number]
    if number:
        assert kind_of_refusal(number, "???") != "unknown"


@pytest.mark.parametrize("state", get_args(State))
def test_every_state_is_mapped(state: State) -> None:
    """Only success needs no diagnosis."""
    found = diagnose(state, 0, "", [])

    assert (found is None) == (state == "JOB_STATE_SUCCEEDED")


def test_every_kind_is_made_and_no_row_is_dead() -> None:
    """Each row of the table is the first that fits for something; each kind has a row."""
    seen = [
        matching_rule(Failure("JOB_STATE_FAILED", 3, text, last_exception(lines(tail)))) for text, tail, *_ in FAILURES
    ]
    seen += [matching_rule(Failure(state, n, "?")) for n in range(17) for state in ("JOB_STATE_FAILED", REFUSED)]
    seen += [matching_rule(Failure("JOB_STATE_FAILED", 0, "", "ValueError: no rows"))]
    seen += [matching_rule(Failure(state, 0, "")) for state in ("JOB_STATE_CANCELLED", "JOB_STATE_EXPIRED")]

    assert [rule for rule in RULES if rule not in seen] == []
    ended_by_us = {"cost_cap", "waited", "superseded"}  # not read from what the service says
    assert {rule.kind for rule in RULES} | ended_by_us == set(get_args(Kind))


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (3, "You do not have permission to act as service_account: X. (or it may not exist).", "permission"),
        (3, "List of found errors:\t1.Field: timeout; Message: up to 7 days.", "invalid_request"),
        (7, "Permission 'aiplatform.customJobs.create' denied on resource", "permission"),
        (8, "The following quota metrics exceed quota limits: x", "quota"),
        (9, "The Cloud Storage bucket of `gs://b` is in location `us`.", "invalid_request"),
        (14, "connection reset", "internal"),
        (4, "Deadline exceeded", "internal"),
    ],
)
def test_refusals_have_kinds_too(code: int, text: str, kind: str) -> None:
    """The same table says what a call that failed was about."""
    assert kind_of_refusal(code, text) == kind


@given(text=st.sampled_from([text for text, *_ in FAILURES]), tail=st.lists(st.sampled_from(CHAINED.splitlines())))
def test_trying_again_never_depends_on_lines(text: str, tail: list[str]) -> None:
    """Whoever counts attempts reads no log, and must come to the same answer as the watcher."""
    assert failed(text, "\n".join(tail)).retryable == failed(text).retryable


@pytest.mark.parametrize(
    "text",
    [
        "[rank0]: Traceback (most recent call last):\n[rank0]:   File x\n[rank0]: ValueError: no rows\n",
        TRACEBACK + "\n",
    ],
)
def test_a_launchers_exception_is_not_the_programs(text: str) -> None:
    """Torchrun reports its child's failure in a traceback of its own, after the one that says why."""
    wrapped = raised("torch.distributed.elastic.multiprocessing.errors.ChildFailedError:")

    assert "failed with ValueError: no rows" in failed(ONE, text + wrapped).sentence


def test_the_failed_replicas_lines_count() -> None:
    """Of several replicas the one that the service names is believed."""
    text = EXIT.format(1, "Error").replace("workerpool0-0", "workerpool1-0")
    tail = [*lines(TRACEBACK, "workerpool1-0"), *lines(TRACEBACK.replace("ValueError", "EOFError"), "workerpool0-0")]

    assert "ValueError" in str(diagnose("JOB_STATE_FAILED", 3, text, tail))


@pytest.mark.parametrize("state", ["JOB_STATE_CANCELLED", "JOB_STATE_EXPIRED", "JOB_STATE_PARTIALLY_SUCCEEDED"])
def test_other_ends_are_told_too(state: str) -> None:
    """Every end but success has a line, and none of these is worth a new job by itself."""
    found = diagnose(state, 1, "CANCELED", [])  # pyright: ignore[reportArgumentType]

    assert found
    assert str(found)
    assert not found.retryable


def test_success_needs_no_diagnosis() -> None:
    """Whatever was printed on the way."""
    assert diagnose("JOB_STATE_SUCCEEDED", 0, "", lines(TRACEBACK)) is None


@given(text=st.text(), tail=st.lists(st.text()), code=st.integers(0, 16))
def test_any_words_give_one_line(text: str, tail: list[str], code: int) -> None:
    """Whatever the service and the job say, the answer is one line that is not empty."""
    found = failed(text, "\n".join(tail), code)

    assert found.sentence.strip()
    assert found.next_step.strip()
    assert "\n" not in str(found)
