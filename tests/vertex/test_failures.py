"""Why a job ended, in one line, from the service's recorded words and the job's last lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.vertex.failures import Diagnosis, diagnose, last_exception
from prefect_vertex_training.vertex.model import LogLine

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
    return diagnose("JOB_STATE_FAILED", code, text, lines(tail))


@pytest.mark.parametrize(
    ("text", "tail", "said", "retryable"),
    [
        (EXIT.format(1, "Error"), TRACEBACK, "failed with ValueError: no rows. Mend it", False),
        (EXIT.format(1, "Error"), CHAINED, "failed with RuntimeError: training failed: no rows", False),
        (
            EXIT.format(1, "Error"),
            "usage: train.py\ntrain.py: error: no such option",
            "status 1: train.py: error:",
            False,
        ),
        (EXIT.format(3, "Error"), "", "status 3, and wrote nothing", False),
        (EXIT.format(137, "Error"), "", "ran out of memory", False),
        (EXIT.format(139, "Error"), "", "segmentation fault", False),
        (EXIT.format(127, "Error"), "", "the command was not found", False),
        (EXIT.format(128, "StartError"), "", "command can't be started", False),
        (
            "Replicas low on memory: workerpool0. Specify a machine with larger memory and try again.",
            "",
            "memory",
            False,
        ),
        (
            "Resources are insufficient in region: us-central1. Please try a different region or ...",
            "",
            "no machine of this kind was free in us-central1. Try again later, or another region",
            True,
        ),
        (
            "The following quota metrics exceed quota limits: aiplatform.googleapis.com/custom_model_training_cpus",
            "",
            "a quota was used up: aiplatform.googleapis.com/custom_model_training_cpus",
            True,
        ),
        ("Internal error occurred for the current attempt", "", "internal error", True),
        ("", "", "no reason was given", False),
        ("Something new", TRACEBACK, "Something new: ValueError: no rows", False),
    ],
)
def test_recorded_failures(text: str, tail: str, said: str, retryable: bool) -> None:
    """Each of the texts that were seen says what happened, and whether a new job could end otherwise."""
    found = failed(text, tail)

    assert said in found.text
    assert retryable == found.retryable
    assert "\n" not in found.text


def test_an_unknown_text_is_judged_by_its_code() -> None:
    """UNAVAILABLE and INTERNAL are the platform's own trouble."""
    assert failed("???", code=14).retryable
    assert failed("???", code=13).retryable
    assert not failed("???", code=3).retryable


def test_gpu_memory_is_memory() -> None:
    """CUDA's own error is told as what it is."""
    tail = "Traceback (most recent call last):\n  File x\ntorch.OutOfMemoryError: CUDA out of memory. Tried to ..."

    assert "ran out of memory: torch.OutOfMemoryError" in failed(EXIT.format(1, "Error"), tail).text


def test_a_missing_module_names_the_requirement() -> None:
    """The commonest failure in a new image has its own next step."""
    tail = "Traceback (most recent call last):\n  File x\nModuleNotFoundError: No module named 'sklearn.x'"

    assert "Add what provides sklearn to the project's requirements" in failed(EXIT.format(1, "Error"), tail).text


def test_the_failed_replicas_lines_count() -> None:
    """Of several replicas the one that the service names is believed."""
    text = EXIT.format(1, "Error").replace("workerpool0-0", "workerpool1-0")
    tail = [*lines(TRACEBACK, "workerpool1-0"), *lines(TRACEBACK.replace("ValueError", "EOFError"), "workerpool0-0")]

    assert "ValueError" in diagnose("JOB_STATE_FAILED", 3, text, tail).text


@pytest.mark.parametrize("state", ["JOB_STATE_CANCELLED", "JOB_STATE_EXPIRED", "JOB_STATE_PARTIALLY_SUCCEEDED"])
def test_other_ends_are_told_too(state: str) -> None:
    """Every end but success has a line, and none of these is worth a new job by itself."""
    found = diagnose(state, 1, "CANCELED", [])  # pyright: ignore[reportArgumentType]

    assert found.text
    assert not found.retryable


def test_success_needs_no_diagnosis() -> None:
    """Whatever was printed on the way."""
    assert not diagnose("JOB_STATE_SUCCEEDED", 0, "", lines(TRACEBACK)).text


def test_without_a_traceback_there_is_no_exception() -> None:
    """A line that only looks like one is not taken for one."""
    assert not last_exception(["ValueError: printed by hand"])
    assert not last_exception(["Traceback (most recent call last):", '  File "x"'])


@given(text=st.text(), tail=st.lists(st.text()), code=st.integers(0, 16))
def test_any_words_give_one_line(text: str, tail: list[str], code: int) -> None:
    """Whatever the service and the job say, the answer is one line that is not empty."""
    found = diagnose("JOB_STATE_FAILED", code, text, [LogLine(0, "INFO", line, "service") for line in tail])

    assert found.text.strip()
    assert "\n" not in found.text
