"""Why a job ended without success: kind, one sentence, the next step, and whether a new job could end otherwise.

`failure_rules` holds the table that decides, and `tracebacks` finds the program's last exception.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..core.errors import JobFailed
from .failure_rules import REFUSED, Failure, matching_rule, shortened
from .job_types import Diagnosis, Kind, LogLine, Outcome, State
from .tracebacks import last_exception


def diagnose(state: State, code: int, text: str, tail: Sequence[LogLine]) -> Diagnosis | None:
    """Explains why a job ended without success.

    Args:
        state: The job's terminal state.
        code: The number of the gRPC status code in the job's error; 0 for none.
        text: The job's error text.
        tail: The job's last log lines, in the order of their arrival.

    Returns:
        The diagnosis; None for a job that succeeded.
    """
    if state == "JOB_STATE_SUCCEEDED":
        return None
    lines = _of_failed_replica(text, tail)
    # The job's own error may hold a traceback; it belongs to this failure, while log lines may be of an earlier one.
    said, written = _split(text)
    own = _lines(LogLine(0.0, "ERROR", written, "service"))
    failure = Failure(
        state,
        code,
        " ".join(said.split()),
        shortened(last_exception(own) or last_exception(lines)),
        next((line.message.strip() for line in reversed(lines) if line.message.strip()), ""),
    )
    rule, words = matching_rule(failure), failure.words
    return Diagnosis(rule.kind, rule.sentence.format_map(words), rule.next_step.format_map(words), rule.retry)


def failure(outcome: Outcome) -> JobFailed:
    """The exception for a job that ended without success: its diagnosis, with the last log lines as the detail."""
    found = outcome.diagnosis or Diagnosis("unknown", f"the job ended as {outcome.state}", "Read its log", False)
    return JobFailed(
        found.sentence,
        where=outcome.name,
        next_step=found.next_step,
        detail="\n".join(outcome.tail) or outcome.error,
        kind=found.kind,
        retryable=found.retryable,
    )


def kind_of_refusal(code: int, text: str) -> Kind:
    """The kind of a failed API call, by the number of its gRPC status code and its text."""
    return matching_rule(Failure(REFUSED, code, " ".join(text.split()))).kind


_EXIT = re.compile(
    r"(?P<said>.*?non-zero status of \d+\. Termination reason: \w+\.)(?P<written>.*?)(?P<end>To find out more .*)?",
    re.DOTALL,
)
_RUNTIME_PREFIX = re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+Z (?P<stream>stdout|stderr) [FP](?: |$)")
"""What a container runtime puts before a line (the log format of containerd's CRI); some entries have it."""


def _split(text: str) -> tuple[str, str]:
    """The service's own words in an error, and what the program wrote last, which may hold any other words.

    The error of an exit status ends with the program's last traceback: a `TimeoutError` there is no time limit of the
    job's, and a "quota" no quota of the project's.
    """
    found = _EXIT.fullmatch(text.strip())
    if found is None or "\n" not in found["written"]:
        return text, text
    return f"{found['said']} {found['end'] or ''}", found["written"]


def _of_failed_replica(text: str, tail: Sequence[LogLine]) -> list[LogLine]:
    """The log of the replica that the job's error names, or of all, by time: one entry a line.

    The service's own lines only repeat the error, and how the job ended.
    """
    found = re.search(r"replica (workerpool\d+-\d+)", text)
    replicas = [line for line in tail if line.task != "service"]
    named = [line for line in replicas if found and line.task == found[1]]
    return [part for line in sorted(named or replicas, key=lambda line: line.timestamp) for part in _lines(line)]


def _lines(entry: LogLine) -> list[LogLine]:
    """The lines of an entry, each without a container runtime's prefix, which tells its stream."""
    made, severity = [], entry.severity
    for line in entry.message.splitlines():
        prefix = _RUNTIME_PREFIX.match(line)
        if prefix:
            severity = "ERROR" if prefix["stream"] == "stderr" else "INFO"
        message = line[prefix.end() :] if prefix else line
        if message or not prefix:
            made.append(LogLine(entry.timestamp, severity, message, entry.task))
    return made
