"""The four API calls for jobs: create, get, list and cancel.

Each has a deadline, switches the client's own retries off, and raises errors of `core.errors`.

Google's generated client has no default time limit for any of them, and a retried create is a second, paid job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ...core.errors import TrainingError
from ...core.retry import backoff, is_transient
from ..job_types import TERMINAL, State
from ..labels import KEY_LABEL, check_label_value
from .connection import Connection
from .errors import AMBIGUOUS, code_of, is_call_error, mapped

if TYPE_CHECKING:
    import grpc
    from google.cloud.aiplatform_v1 import CustomJob

T = TypeVar("T")


@contextmanager
def calling(connection: Connection, action: str, resource: str) -> Iterator[None]:
    """Translates errors of Google's clients; after a call without an answer the next call opens new clients."""
    try:
        with mapped(connection.context(action, resource)):
            yield
    except TrainingError as error:
        if error.transient:
            connection.reset()
        raise


def create(connection: Connection, job: CustomJob) -> CustomJob:
    """Creates a job; that starts it.

    Raises:
        VertexError: The request was refused: nothing was created.
        VertexUnavailable, LocalServiceError: No answer; the job may exist where `is_ambiguous` is true.
    """
    with calling(connection, "create the training job", connection.parent):
        return connection.jobs.create_custom_job(
            parent=connection.parent, custom_job=job, retry=None, timeout=connection.pace.deadline
        )


def get(connection: Connection, name: str) -> CustomJob:
    """Reads one job.

    Raises:
        VertexError: There is no job of that name, or it may not be read.
        VertexUnavailable, LocalServiceError: No answer.
    """
    with calling(connection, "read the training job", name):
        return connection.jobs.get_custom_job(name=name, retry=None, timeout=connection.pace.deadline)


def listed(connection: Connection, value: str, *, label: str = KEY_LABEL) -> list[CustomJob]:
    """Every job with a label of that value (by default the label of its key), in any state, oldest first.

    The label of each job in the answer is checked again: if the service ignored the filter, callers would cancel other
    people's jobs.

    Raises:
        VertexError: The value is not valid for a label, or the listing was refused.
        VertexUnavailable, LocalServiceError: No answer.
    """
    check_label_value(value)
    jobs, _ = list_jobs(connection, f'(labels.{label}="{value}")')
    return sorted((job for job in jobs if job.labels.get(label) == value), key=age)


def list_jobs(connection: Connection, wanted: str) -> tuple[list[CustomJob], int]:
    """Every job that matches a filter, newest first as the service lists them, and the number of pages read.

    Raises:
        VertexError: The listing was refused.
        VertexUnavailable, LocalServiceError: No answer.
    """
    with calling(connection, "list the training jobs", connection.parent):
        pager = connection.jobs.list_custom_jobs(
            request={"parent": connection.parent, "filter": wanted, "page_size": 100},
            retry=None,
            timeout=connection.pace.deadline,
        )
        pages = [list(page.custom_jobs) for page in pager.pages]
    return [job for page in pages for job in page], len(pages)


def age(job: CustomJob) -> tuple[float, str]:
    """Sort key: creation time, then name for jobs of the same microsecond."""
    return (seconds(job.create_time), job.name)


def seconds(moment: Any) -> float:  # noqa: ANN401 - proto-plus gives its own datetime, or None
    """Seconds since 1970; 0 for a time that is not set."""
    return moment.timestamp() if moment else 0.0


def request_cancel(connection: Connection, name: str) -> None:
    """Requests a job's cancellation; the service answers before the job has ended.

    Raises:
        VertexError: Refused. A job that has ended may refuse too, so read its state again.
        VertexUnavailable, LocalServiceError: No answer.
    """
    with calling(connection, "cancel the training job", name):
        connection.jobs.cancel_custom_job(name=name, retry=None, timeout=connection.pace.deadline)


def status_of(error: BaseException) -> grpc.StatusCode | None:
    """The gRPC status code that caused one of our errors; None for errors without a call."""
    cause = error.__cause__
    return code_of(cause) if cause is not None and is_call_error(cause) else None


def is_ambiguous(error: BaseException) -> bool:
    """Whether a failed call may have been carried out all the same."""
    return status_of(error) in AMBIGUOUS


def state_of(job: CustomJob) -> State:
    """A job's state by name; a number unknown to this client counts as unspecified, which is a live state."""
    from google.cloud.aiplatform_v1.types.job_state import JobState

    try:
        return cast("State", JobState(job.state).name)
    except ValueError:
        return "JOB_STATE_UNSPECIFIED"


def error_of(job: CustomJob) -> tuple[int, str]:
    """A job's error: the number of a gRPC status code (0 for none), and the service's message."""
    return (0, "") if job.error is None else (int(job.error.code), str(job.error.message))


def is_live(job: CustomJob) -> bool:
    """Whether the job may still run and cost money; a job that is being cancelled is not live."""
    state = state_of(job)
    return state not in TERMINAL and state != "JOB_STATE_CANCELLING"


def patiently(
    action: Callable[[], T],
    connection: Connection,
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    patience: float | None = None,
) -> T:
    """Calls `action` until it succeeds; retries transient errors for `patience` seconds (default: the pace's)."""
    end = clock() + (connection.pace.patience if patience is None else patience)
    waits = backoff(base=connection.poll, limit=connection.pace.backoff)
    while True:
        try:
            return action()
        except TrainingError as error:
            if not is_transient(error) or clock() >= end:
                raise
            sleep(next(waits))
