"""The table that classifies failures of jobs and of API calls: the first row that matches decides.

The patterns match texts that the service wrote into real failed jobs. Of a program's output only the last exception
counts, and only for the message: whether to retry never depends on log lines, which may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

from .job_types import Kind

REFUSED = "REFUSED"
"""Takes the place of a job's state where the service refused a call, so that no job was made."""

_ENDED = frozenset({"JOB_STATE_FAILED", "JOB_STATE_PARTIALLY_SUCCEEDED", "JOB_STATE_UNSPECIFIED"})
_ANY = _ENDED | {REFUSED}
_REFUSED = frozenset({REFUSED})


@dataclass(frozen=True, slots=True)
class Failure:
    """What is known of a failure.

    Attributes:
        state: The job's terminal state, or `REFUSED`.
        code: The number of a gRPC status code; 0 for none.
        text: The service's error text, in one line, without what the program wrote.
        exception: The last line of the program's last traceback; empty for none.
        last_line: The last line that the failed replica wrote; empty for none.
    """

    state: str
    code: int
    text: str
    exception: str = ""
    last_line: str = ""

    @property
    def status(self) -> int | None:
        """The exit status of the replica that failed."""
        found = re.search(r"non-zero status of (\d{1,9})\b", self.text)
        return int(found[1]) if found else None

    @property
    def words(self) -> dict[str, Any]:
        """Values for the placeholders in a rule's sentences."""
        status, exception = self.status, self.exception
        region = re.search(r"in region:? ([\w-]+\d)", self.text)
        metric = re.search(r"exceed quota limits?: (?P<metric>[\w./-]+\w)", self.text)
        module = re.search(r"No module named '(\w+)", exception)
        reason = re.search(r"Termination reason: \w+\.\s+(?!To find out more)(\S.*)", self.text)
        meaning = _STATUS_MEANINGS.get(status or 0)
        last = f": {shortened(self.last_line)}" if self.last_line else ", and wrote nothing that could be read"
        return {
            "state": self.state,
            "text": shortened(self.text) or "no reason was given",
            "status": status,
            "meaning": f" ({meaning})" if meaning else "",
            "exception": exception,
            "cause": f": {exception}" if exception else "",
            "reason": f": {shortened(reason[1])}" if reason else "",
            "place": f" in {region[1]}" if region else "",
            "metric": metric["metric"] if metric else shortened(self.text) or "of requests",
            "module": module[1] if module else "",
            "last": last,
        }


def shortened(text: str, limit: int = 300) -> str:
    """The text, cut to `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


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
    """One row of the table: conditions on a failure, and what they mean.

    Attributes:
        kind: Kind of failure.
        sentence: What happened; names in braces are keys of `Failure.words`.
        next_step: The one thing to do next, with the same placeholders.
        retry: Whether a new job could end otherwise.
        states: Only for these states.
        text: Only where this pattern occurs in the service's text; case is ignored.
        codes: Only for these gRPC status codes, as numbers.
        statuses: Only for these exit statuses of the failed replica.
        exited: Only where there is an exit status.
        program: Only where this pattern occurs in the program's last exception.
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

    def matches(self, failure: Failure) -> bool:
        """Whether all conditions of this row hold."""
        return (
            failure.state in self.states
            and (self.text is None or re.search(self.text, failure.text, re.IGNORECASE) is not None)
            and (self.codes is None or failure.code in self.codes)
            and (self.statuses is None or failure.status in self.statuses)
            and (not self.exited or failure.status is not None)
            and (self.program is None or re.search(self.program, failure.exception) is not None)
        )


_GPU_MEMORY = (
    r"CUDA(_ERROR_| )OUT_OF_MEMORY|CUDA out of memory|cudaErrorMemoryAllocation|torch\S*\.OutOfMemoryError"
    r"|CUBLAS_STATUS_ALLOC_FAILED|HIP out of memory|ResourceExhaustedError|RESOURCE_EXHAUSTED: Out of memory"
)
_HOST_MEMORY = r"^(\w+\.)*\w*MemoryError\b|std::bad_alloc|[Cc]annot allocate memory|DefaultCPUAllocator"
_OTHER_MODEL = (
    r"Error\(s\) in loading state_dict|size mismatch for |(Missing|Unexpected) key\(s\) in state_dict"
    r"|doesn't match the size of optimizer's group|different number of parameter groups"
    r"|[Cc]heckpoint\b.{0,80}\b(shape|incompatible|does(n't| not) match)|Shapes? .{0,60}\b(checkpoint|incompatible)"
    r"|Layer count mismatch when loading weights"
)
"""What frameworks say when weights of another model are loaded."""
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
    # The service's error text.
    Rule(
        "out_of_memory",
        "the job ran out of memory{cause}",
        "Use a machine with more memory, or smaller batches",
        text=r"low on memory|out of memory|OOMKilled",
    ),
    Rule(
        "out_of_disk",
        "the job's disk was full{cause}",
        "Set a larger `boot-disk-gb`, or write less to the disk",
        text=r"low on disk|no space left on device",
    ),
    Rule(
        "stock_out",
        "no machine of this kind was free{place}",
        "Try again later, or another region, machine or accelerator",
        retry=True,
        states=_ANY,
        text=r"resources are insufficient|stock[-_ ]?out|resource_pool_exhausted",
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
        "the container's command can't be started{reason}{cause}",
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
    # How the program ended. Rows that decide about a retry come before those that read its exception.
    Rule(
        "preempted",
        "the program was ended from outside (SIGTERM): its machine was taken away",
        "Run again",
        retry=True,
        statuses=frozenset({143}),
    ),
    Rule(
        "preempted",
        "torchrun was ended from outside (SIGTERM): its machine was taken away",
        "Run again",
        retry=True,
        exited=True,
        program=r"SignalException: Process \d+ got signal: 15",
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
        "out_of_disk",
        "the job's disk was full: {exception}",
        "Set a larger `boot-disk-gb`, or write less to the disk",
        exited=True,
        program=r"\[Errno 28\]|No space left on device",
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
        "the checkpoint is of another model: {exception}",
        "Start a new run without --resume, or with the code that wrote the checkpoint",
        exited=True,
        program=_OTHER_MODEL,
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
        "Fix it and run again",
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
    # No known text: the status code decides (https://grpc.io/docs/guides/status-codes/).
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
    Rule("user_code", "the job failed: {text}{cause}", "Fix it and run again", states=_ENDED, codes=frozenset({3})),
    # An empty error: only the log tells something.
    Rule(
        "user_code",
        "the training code failed with {exception}",
        "Fix it and run again",
        codes=frozenset({0}),
        text=r"^$",
        program=r".",
    ),
    Rule("unknown", "{state}: {text}{cause}", "Read its log", states=_ANY),
)
"""All rows; the first one that matches counts."""


def matching_rule(failure: Failure) -> Rule:
    """The first row that matches."""
    return next((rule for rule in RULES if rule.matches(failure)), RULES[-1])
