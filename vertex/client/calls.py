"""The four calls made for a job: each with a deadline, without the client's own retries, errors in our tree.

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
    """Maps what Google's clients raise; a connection that gave no answer is made again on its next use."""
    try:
        with mapped(connection.scene(action, resource)):
            yield
    except TrainingError as error:
        if error.transient:
            connection.lost()
        raise


def create(connection: Connection, job: CustomJob) -> CustomJob:
    """Creates a job, which starts it.

    Raises:
        VertexError: Refused: nothing was created.
        VertexUnavailable, LocalServiceError: When `is_ambiguous` says so the job may exist all the same.
    """
    with calling(connection, "create the training job", connection.parent):
        return connection.jobs.create_custom_job(
            parent=connection.parent, custom_job=job, retry=None, timeout=connection.pace.deadline
        )


def get(connection: Connection, name: str) -> CustomJob:
    """One job as it is now.

    Raises:
        VertexError: There is none of that name, or it can't be read.
        VertexUnavailable, LocalServiceError: No answer.
    """
    with calling(connection, "read the training job", name):
        return connection.jobs.get_custom_job(name=name, retry=None, timeout=connection.pace.deadline)


def listed(connection: Connection, value: str, *, label: str = KEY_LABEL) -> list[CustomJob]:
    """Every job with that value in a label (its key, by default), in any state, oldest first.

    The answer is checked against the label once more: acting on a filter that was not applied would cancel
    strangers' jobs.

    Raises:
        VertexError: The value can't be a label's, or the listing was refused.
        VertexUnavailable, LocalServiceError: No answer.
    """
    check_label_value(value)
    jobs, _ = list_jobs(connection, f'(labels.{label}="{value}")')
    return sorted((job for job in jobs if job.labels.get(label) == value), key=age)


def list_jobs(connection: Connection, wanted: str) -> tuple[list[CustomJob], int]:
    """Every job that a filter finds, newest first as the service lists them, and how many pages that took.

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
    """Sorts jobs by their creation; the name decides between two of the same microsecond."""
    return (seconds(job.create_time), job.name)


def seconds(moment: Any) -> float:  # noqa: ANN401 - proto-plus gives its own datetime, or None
    """Seconds since 1970, 0 for a time that is not set."""
    return moment.timestamp() if moment else 0.0


def request_cancel(connection: Connection, name: str) -> None:
    """Asks for a job's end; the service answers before it has come.

    Raises:
        VertexError: Refused; a job that has ended may refuse, so read its state again.
        VertexUnavailable, LocalServiceError: No answer.
    """
    with calling(connection, "cancel the training job", name):
        connection.jobs.cancel_custom_job(name=name, retry=None, timeout=connection.pace.deadline)


def status_of(error: BaseException) -> grpc.StatusCode | None:
    """The status code behind one of our errors; None where no call was made."""
    cause = error.__cause__
    return code_of(cause) if cause is not None and is_call_error(cause) else None


def is_ambiguous(error: BaseException) -> bool:
    """True when a call failed in a way that leaves open whether it was carried out."""
    return status_of(error) in AMBIGUOUS


def state_of(job: CustomJob) -> State:
    """A job's state by name; a number that this client doesn't know yet counts as a live, unspecified state."""
    from google.cloud.aiplatform_v1 import JobState

    try:
        return cast("State", JobState(job.state).name)
    except ValueError:
        return "JOB_STATE_UNSPECIFIED"


def error_of(job: CustomJob) -> tuple[int, str]:
    """A job's error: a gRPC status code's number, 0 for none, and the service's words."""
    return (0, "") if job.error is None else (int(job.error.code), str(job.error.message))


def is_live(job: CustomJob) -> bool:
    """True while the job may still work and cost; one that is being cancelled is not counted."""
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
    """Calls `action` until it answers; transient errors are waited out for `patience` seconds, or the connection's."""
    end = clock() + (connection.pace.patience if patience is None else patience)
    waits = backoff(base=connection.poll, limit=connection.pace.backoff)
    while True:
        try:
            return action()
        except TrainingError as error:
            if not is_transient(error) or clock() >= end:
                raise
            sleep(next(waits))
