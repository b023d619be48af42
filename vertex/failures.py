"""Why a job ended without success, in one line, and whether a new job could end otherwise.

The texts are those that the service wrote into failed jobs seen in public; the service itself only gives a code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .model import LogLine, State


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One line for people, and whether a new job of the same kind could end otherwise."""

    text: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is known of a failed job."""

    text: str
    lines: Sequence[str]

    @property
    def exit_status(self) -> int | None:
        found = re.search(r"non-zero status of (\d+)", self.text)
        return int(found[1]) if found else None


def diagnose(state: State, code: int, text: str, tail: Sequence[LogLine]) -> Diagnosis:
    """Says why a job ended as it did.

    Args:
        state: Terminal.
        code: The job's error code, a gRPC status code's number; 0 for none.
        text: The job's error text.
        tail: Its last lines, oldest first.

    Returns:
        What happened and the next step. A succeeded job's text is empty.
    """
    if state == "JOB_STATE_SUCCEEDED":
        return Diagnosis("", retryable=False)
    if state == "JOB_STATE_CANCELLED":
        return Diagnosis("the job was cancelled. Run again to start a new one", retryable=False)
    if state == "JOB_STATE_EXPIRED":
        return Diagnosis("the job waited or ran longer than its time limit. Set a longer one", retryable=False)
    facts = _Facts(" ".join(text.split()), _of_failed_replica(text, tail))
    for pattern, answer in _TEXTS:
        if re.search(pattern, facts.text, re.IGNORECASE):
            return answer(facts)
    if facts.exit_status is not None:
        return _exited(facts)
    return Diagnosis(
        f"{state}: {facts.text or 'no reason was given'}{_cause(facts)}", retryable=code in _RETRYABLE_CODES
    )


_RETRYABLE_CODES = {10, 13, 14}
"""ABORTED, INTERNAL, UNAVAILABLE: the platform's own trouble."""


def _stock_out(facts: _Facts) -> Diagnosis:
    found = re.search(r"in region:? ([\w-]+\d)", facts.text)
    place = f" in {found[1]}" if found else ""
    return Diagnosis(
        f"no machine of this kind was free{place}. Try again later, or another region, machine or accelerator",
        retryable=True,
    )


def _memory(facts: _Facts) -> Diagnosis:
    return Diagnosis(
        f"the job ran out of memory{_cause(facts)}. Use a machine with more memory, or smaller batches",
        retryable=False,
    )


def _quota(facts: _Facts) -> Diagnosis:
    found = re.search(r"exceed quota limits?: (?P<metric>[\w./-]+\w)", facts.text)
    metric = found["metric"] if found else facts.text
    return Diagnosis(
        f"a quota was used up: {metric}. Wait for other jobs to end, or ask for more quota", retryable=True
    )


def _preempted(_facts: _Facts) -> Diagnosis:
    return Diagnosis("the machine was taken back (Spot). Run again, or without Spot", retryable=True)


def _internal(facts: _Facts) -> Diagnosis:
    return Diagnosis(f"Vertex AI had an internal error ({facts.text}). Run again", retryable=True)


def _start_error(facts: _Facts) -> Diagnosis:
    return Diagnosis(
        f"the container's command can't be started{_cause(facts)}. Check the command and that the image is linux/amd64",
        retryable=False,
    )


def _image(facts: _Facts) -> Diagnosis:
    return Diagnosis(
        f"the image can't be pulled ({facts.text}). Give Vertex AI's service agent roles/artifactregistry.reader on it",
        retryable=False,
    )


def _deadline(_facts: _Facts) -> Diagnosis:
    return Diagnosis("the job ran longer than its time limit. Set a longer one", retryable=False)


_TEXTS: Sequence[tuple[str, Callable[[_Facts], Diagnosis]]] = (
    (r"low on memory|out of memory|OOMKilled", _memory),
    (r"resources are insufficient|stock-?out", _stock_out),
    (r"quota", _quota),
    (r"preempt", _preempted),
    (r"StartError|exec format error|ContainerCannotRun", _start_error),
    (r"pull.{0,20} image|image.{0,40}(not found|pull)|ErrImagePull|ImagePullBackOff", _image),
    (r"internal error", _internal),
    (r"timed? ?out|deadline|time limit", _deadline),
)

_STATUS_MEANINGS = {
    126: "the command is not executable",
    127: "the command was not found",
    128: "the command can't be started",
    132: "an illegal instruction: a package was built for another processor",
    134: "the process aborted (SIGABRT)",
    139: "a segmentation fault in native code",
    143: "the process was ended from outside (SIGTERM)",
}


def _exited(facts: _Facts) -> Diagnosis:
    """The user's program ended with an exit status."""
    status = facts.exit_status
    exception = last_exception(facts.lines)
    if status == 137 or (exception and _is_memory(exception)):
        return _memory(facts)
    if status in {126, 127, 128} and not exception:
        return Diagnosis(f"{_STATUS_MEANINGS[status]} (exit status {status}). Check the command", retryable=False)
    if exception:
        return Diagnosis(f"the training code failed with {exception}. {_mend(exception)}", retryable=False)
    meaning = f" ({_STATUS_MEANINGS[status]})" if status in _STATUS_MEANINGS else ""
    last = next((line.strip() for line in reversed(facts.lines) if line.strip()), "")
    shown = f": {_short(last)}" if last else ", and wrote nothing that could be read"
    return Diagnosis(
        f"the training code ended with exit status {status}{meaning}{shown}. Read its last lines",
        retryable=False,
    )


def _is_memory(exception: str) -> bool:
    return exception.startswith("MemoryError") or "out of memory" in exception.lower() or "OutOfMemory" in exception


def _mend(exception: str) -> str:
    if found := re.match(r"(?:ModuleNotFoundError|ImportError): No module named '([\w]+)", exception):
        return f"Add what provides {found[1]} to the project's requirements"
    return "Mend it and run again"


def _cause(facts: _Facts) -> str:
    exception = last_exception(facts.lines)
    return f": {exception}" if exception else ""


def _of_failed_replica(text: str, tail: Sequence[LogLine]) -> list[str]:
    """The lines of the replica that the error names, or all; a message may hold several lines."""
    found = re.search(r"replica (workerpool\d+-\d+)", text)
    named = [line for line in tail if found and line.task == found[1]]
    return [part for line in named or tail for part in line.message.splitlines()]


def last_exception(lines: Sequence[str]) -> str:
    """The last line of the last Python traceback: `ValueError: ...`; empty when there is none."""
    start = max(
        (i for i, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")),
        default=None,
    )
    if start is None:
        return ""
    return next((_short(line.strip()) for line in lines[start + 1 :] if line[:1].strip()), "")


def _short(text: str, limit: int = 300) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
