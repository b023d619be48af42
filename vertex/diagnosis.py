"""Why a job ended without success: its kind, one sentence, the next step, and whether a new job could end otherwise.

One table decides, `RULES`: the first row that fits all that is known of the failure. The texts are those that the
service wrote into failed jobs seen in public; of a program only its exit status and its last traceback are believed,
and only for the sentence: whether to try again never depends on lines, which may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

from ..core.errors import JobFailed
from .job_types import Diagnosis, Kind, LogLine, Outcome, State

REFUSED = "REFUSED"
"""Stands for the state of a job that was never made, because the service refused a call."""

_ENDED = frozenset({"JOB_STATE_FAILED", "JOB_STATE_PARTIALLY_SUCCEEDED", "JOB_STATE_UNSPECIFIED"})
_ANY = _ENDED | {REFUSED}
_REFUSED = frozenset({REFUSED})


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is known of a failure; the words in a rule's sentences."""

    state: str
    code: int
    text: str
    lines: Sequence[str]

    @property
    def status(self) -> int | None:
        """The exit status of the replica that failed."""
        found = re.search(r"non-zero status of (\d+)", self.text)
        return int(found[1]) if found else None

    @property
    def exception(self) -> str:
        return last_exception(self.lines)

    @property
    def words(self) -> dict[str, Any]:
        status, exception = self.status, self.exception
        region = re.search(r"in region:? ([\w-]+\d)", self.text)
        metric = re.search(r"exceed quota limits?: (?P<metric>[\w./-]+\w)", self.text)
        module = re.search(r"No module named '(\w+)", exception)
        last = next((line.strip() for line in reversed(self.lines) if line.strip()), "")
        meaning = _STATUS_MEANINGS.get(status or 0)
        return {
            "state": self.state,
            "text": _short(self.text) or "no reason was given",
            "status": status,
            "meaning": f" ({meaning})" if meaning else "",
            "exception": exception,
            "cause": f": {exception}" if exception else "",
            "place": f" in {region[1]}" if region else "",
            "metric": metric["metric"] if metric else _short(self.text) or "of requests",
            "module": module[1] if module else "",
            "last": f": {_short(last)}" if last else ", and wrote nothing that could be read",
        }


_STATUS_MEANINGS = {
    126: "the command is not executable",
    127: "the command was not found",
    128: "the command can't be started",
    132: "an illegal instruction: a package was built for another processor",
    134: "the process aborted (SIGABRT)",
    139: "a segmentation fault in native code",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: what a failure must have to be of a kind, and what is said of it.

    Attributes:
        kind: Of failure.
        sentence: What happened; names in braces are `_Facts.words`.
        next_step: The one thing to do next; as the sentence.
        retry: Whether a new job could end otherwise.
        states: The states it is for.
        text: Found in the service's text, in any case.
        codes: The error's code, a gRPC status code's number.
        statuses: The exit status of the replica that failed.
        exited: Only where there is an exit status.
        program: Found in the program's last exception.
    """

    kind: Kind
    sentence: str
    next_step: str
    retry: bool = False
    _: KW_ONLY
    states: frozenset[str] = _ENDED
    text: str | None = None
    codes: frozenset[int] | None = None
    statuses: frozenset[int] | None = None
    exited: bool = False
    program: str | None = None

    def fits(self, facts: _Facts) -> bool:
        """Whether this row is about that failure."""
        return (
            facts.state in self.states
            and (self.text is None or re.search(self.text, facts.text, re.IGNORECASE) is not None)
            and (self.codes is None or facts.code in self.codes)
            and (self.statuses is None or facts.status in self.statuses)
            and (not self.exited or facts.status is not None)
            and (self.program is None or re.search(self.program, facts.exception) is not None)
        )


_GPU_MEMORY = (
    r"CUDA(_ERROR_| )OUT_OF_MEMORY|CUDA out of memory|cudaErrorMemoryAllocation|torch\S*\.OutOfMemoryError"
    r"|CUBLAS_STATUS_ALLOC_FAILED|HIP out of memory|ResourceExhaustedError|RESOURCE_EXHAUSTED: Out of memory"
)
_HOST_MEMORY = r"^(\w+\.)*\w*MemoryError\b|std::bad_alloc|[Cc]annot allocate memory|DefaultCPUAllocator"
_NO_ACCESS = r"^(\w+\.)*(Forbidden|PermissionDenied|Unauthenticated|DefaultCredentialsError|RefreshError)\b"
_BAD_IMAGE = (
    r"pull.{0,20} image|image.{0,40}(not found|pull|doesn't exist|does not exist)|no such image|manifest unknown"
    r"|pull access denied|ErrImagePull|ImagePullBackOff"
)

RULES: Sequence[Rule] = (
    Rule(
        "cancelled",
        "the job was cancelled",
        "Run again to start a new one",
        states=frozenset({"JOB_STATE_CANCELLED"}),
    ),
    Rule(
        "time_limit",
        "the job waited or ran longer than its time limit",
        "Set a longer `timeout`, or `max-wait`",
        states=frozenset({"JOB_STATE_EXPIRED"}),
    ),
    # What the service says.
    Rule(
        "out_of_memory",
        "the job ran out of memory{cause}",
        "Use a machine with more memory, or smaller batches",
        text=r"low on memory|out of memory|OOMKilled",
    ),
    Rule(
        "stock_out",
        "no machine of this kind was free{place}",
        "Try again later, or another region, machine or accelerator",
        retry=True,
        states=_ANY,
        text=r"resources are insufficient|stock-?out",
    ),
    Rule(
        "quota",
        "a quota was used up: {metric}",
        "Wait for other jobs to end, or ask for more quota",
        retry=True,
        states=_ANY,
        text=r"quota",
    ),
    Rule(
        "preempted",
        "the machine was taken back (Spot)",
        "Run again, or with strategy STANDARD",
        retry=True,
        text=r"preempt",
    ),
    Rule(
        "user_code",
        "the container's command can't be started{cause}",
        "Check the command and that the image is linux/amd64",
        text=r"StartError|exec format error|ContainerCannotRun",
    ),
    Rule(
        "image_pull",
        "the image can't be pulled ({text})",
        "Check that it is there, and give Vertex AI's service agent roles/artifactregistry.reader on it",
        text=_BAD_IMAGE,
    ),
    Rule(
        "permission",
        "a permission is missing: {text}",
        "Give the account that is named the role that is named",
        states=_ANY,
        text=r"permission.{0,60}(denied|act as|required|missing)|(lacks?|not have).{0,60}(permission|access)",
    ),
    Rule(
        "internal",
        "Vertex AI had an internal error ({text})",
        "Run again",
        retry=True,
        text=r"internal error",
    ),
    Rule(
        "time_limit",
        "the job ran longer than its time limit",
        "Set a longer `timeout`",
        text=r"timed? ?out|deadline|time limit",
    ),
    # How the program ended. Rows that decide whether to try again come before those that read its lines.
    Rule(
        "preempted",
        "the program was ended from outside (SIGTERM): its machine was taken away",
        "Run again",
        retry=True,
        statuses=frozenset({143}),
    ),
    Rule(
        "out_of_memory",
        "the GPU ran out of memory: {exception}",
        "Use smaller batches, or a GPU with more memory",
        exited=True,
        program=_GPU_MEMORY,
    ),
    Rule(
        "out_of_memory",
        "the job ran out of memory: {exception}",
        "Use a machine with more memory, or smaller batches",
        exited=True,
        program=_HOST_MEMORY,
    ),
    Rule(
        "out_of_memory",
        "the program was killed (exit status 137), as happens when memory runs out{cause}",
        "Use a machine with more memory, or smaller batches",
        statuses=frozenset({137}),
    ),
    Rule(
        "permission",
        "the training code was refused access: {exception}",
        "Give the job's service account the role that is named",
        exited=True,
        program=_NO_ACCESS,
    ),
    Rule(
        "user_code",
        "the training code failed with {exception}",
        "Add what provides {module} to the project's requirements",
        exited=True,
        program=r"^(ModuleNotFoundError|ImportError): No module named '\w",
    ),
    Rule(
        "user_code",
        "the training code failed with {exception}",
        "Mend it and run again",
        exited=True,
        program=r".",
    ),
    Rule(
        "user_code",
        "the command can't be run (exit status {status}){meaning}",
        "Check the command",
        statuses=frozenset({126, 127, 128}),
    ),
    Rule(
        "user_code",
        "the training code ended with exit status {status}{meaning}{last}",
        "Read its last lines",
        exited=True,
    ),
    # No text that is known: the code decides (https://grpc.io/docs/guides/status-codes/).
    Rule("cancelled", "{state}: {text}", "Run again to start a new one", states=_ENDED, codes=frozenset({1})),
    Rule("time_limit", "{state}: {text}", "Set a longer `timeout`", states=_ENDED, codes=frozenset({4})),
    Rule(
        "quota", "a quota was used up: {metric}", "Wait, then run again", retry=True, states=_ANY, codes=frozenset({8})
    ),
    Rule(
        "permission",
        "access was denied: {text}{cause}",
        "Give the account that is named the role that is named",
        states=_ANY,
        codes=frozenset({7, 16}),
    ),
    Rule(
        "internal",
        "Vertex AI had trouble of its own: {text}{cause}",
        "Run again",
        retry=True,
        states=_ANY,
        codes=frozenset({10, 13, 14, 15}),
    ),
    Rule("internal", "no answer came: {text}", "Run again", retry=True, states=_REFUSED, codes=frozenset({1, 2, 4})),
    Rule(
        "invalid_request",
        "the request was refused: {text}",
        "Change what is named and run again",
        states=_REFUSED,
        codes=frozenset({3, 5, 6, 9, 11, 12}),
    ),
    Rule("user_code", "the job failed: {text}{cause}", "Mend it and run again", states=_ENDED, codes=frozenset({3})),
    Rule("unknown", "{state}: {text}{cause}", "Read its log", states=_ANY),
)
"""The one table; the first row that fits counts."""


def diagnose(state: State, code: int, text: str, tail: Sequence[LogLine]) -> Diagnosis | None:
    """Says why a job ended as it did.

    Args:
        state: Terminal.
        code: The job's error code, a gRPC status code's number; 0 for none.
        text: The job's error text.
        tail: Its last lines, oldest first.

    Returns:
        What happened; None for a job that succeeded.
    """
    if state == "JOB_STATE_SUCCEEDED":
        return None
    return _said(_Facts(state, code, " ".join(text.split()), _of_failed_replica(text, tail)))


def failure(outcome: Outcome) -> JobFailed:
    """The exception for a job that ended without success: the diagnosis, its last lines as the detail."""
    found = outcome.diagnosis or Diagnosis("unknown", f"the job ended as {outcome.state}", "Read its log", False)
    error = JobFailed(
        found.sentence,
        where=outcome.name,
        next_step=found.next_step,
        detail="\n".join(outcome.tail) or outcome.error,
    )
    error.kind, error.retryable = found.kind, found.retryable
    return error


def kind_of_refusal(code: int, text: str) -> Kind:
    """The kind of a call that was refused or got no answer, by its gRPC status code's number and text."""
    return _rule(_Facts(REFUSED, code, " ".join(text.split()), [])).kind


def _rule(facts: _Facts) -> Rule:
    return next((rule for rule in RULES if rule.fits(facts)), RULES[-1])


def _said(facts: _Facts) -> Diagnosis:
    rule, words = _rule(facts), facts.words
    return Diagnosis(rule.kind, rule.sentence.format_map(words), rule.next_step.format_map(words), rule.retry)


def _of_failed_replica(text: str, tail: Sequence[LogLine]) -> list[str]:
    """The lines of the replica that the error names, or all; a message may hold several lines."""
    found = re.search(r"replica (workerpool\d+-\d+)", text)
    named = [line for line in tail if found and line.task == found[1]]
    return [part for line in named or tail for part in line.message.splitlines()]


_TRACEBACK = re.compile(r"(?:\[rank\d+\]: ?)?Traceback \(most recent call last\)")
_RANK = re.compile(r"^\[rank\d+\]: ?")
_WRAPPERS = re.compile(r"(\w+\.)*(ChildFailedError|ProcessRaisedException|ProcessExitedException)\b")
"""What torchrun and multiprocessing raise after the program's own exception; the one before says more."""


def last_exception(lines: Sequence[str]) -> str:
    """The last line of the last Python traceback: `ValueError: ...`; empty when there is none."""
    starts = [i for i, line in enumerate(lines) if _TRACEBACK.match(line)]
    found = [_exception(lines[start + 1 :]) for start in reversed(starts)]
    return next((text for text in found if text and not _WRAPPERS.match(text)), next(filter(None, found), ""))


def _exception(lines: Sequence[str]) -> str:
    plain = (_RANK.sub("", line) for line in lines)
    return next((_short(line.strip()) for line in plain if line[:1].strip()), "")


def _short(text: str, limit: int = 300) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
