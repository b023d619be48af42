"""The one tree of exceptions that users see. `transient` says whether trying again can help.

    TrainingError
    |-- ProjectError            the project's folder, its script or its settings
    |   |-- VerifyError         the local run failed or hung
    |   `-- DependencyError     a requirement that can't be frozen
    |-- ImageError              building an image
    |   |-- WheelError          a wheel that can't become a layer
    |   |-- BaseImageError      a base image without the wanted Python or platform
    |   `-- DockerError         the Docker engine, or a Dockerfile's instructions
    |-- RegistryError           the registry or image layout
    |   |-- RegistryDenied      a missing permission, and the command that grants it
    |   `-- RegistryUnavailable transient: a cut connection, 429, 5xx
    |-- VertexError             the API that runs jobs
    |   |-- VertexUnavailable   transient: no answer
    |   |-- JobFailed           the job ended without success
    |   `-- ModelMissing        the job succeeded and left no model
    |-- DataError               a data set: its files here, or its objects in the bucket
    |-- LocalServiceError       local_vertex could not start, or stopped
    |-- PrefectServerError      the Prefect server can't be started, or gives no answer
    |-- ResultError             transient: a kept step result that can't be used
    `-- StorageError            this machine's disk: full, read-only

Every message is one line: what was wrong, where, and the next step. An error is complete when it is raised: all that it
knows are arguments of its constructor. Code that adds to an error raises a changed copy, from `TrainingError.replace`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self


class TrainingError(Exception):
    """A failure that a user can act on.

    Args:
        what: What is wrong, naming the thing; no full stop.
        where: The place: a path, a line, a host, a field.
        next_step: The one next thing to do, as an imperative sentence without a full stop.
        detail: Further lines, such as a program's last output; never part of `str(error)`.
        transient: Whether trying again can help. Default: what the class says.
    """

    transient: bool = False

    def __init__(
        self,
        what: str,
        *,
        where: object | None = None,
        next_step: str | None = None,
        detail: str | None = None,
        transient: bool | None = None,
    ) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.next_step = next_step
        self.detail = detail
        if transient is not None:
            self.transient = transient
        super().__init__(what)

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        step = f". {self.next_step}" if self.next_step else ""
        return " ".join(f"{self.what}{place}{step}".split())

    def __reduce__(self) -> tuple[object, ...]:
        # Prefect pickles the exception of a failed run; constructors with keyword-only arguments need this.
        return (_rebuild, (type(self), self.arguments()))

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments that make an equal error; plain values, so they can be written as JSON."""
        return {name: value for name, value in self.__dict__.items() if not name.startswith("__")}

    def replace(self, **changes: Any) -> Self:  # noqa: ANN401 - the constructor checks them
        """A copy of this error with other constructor arguments, as `dataclasses.replace`."""
        return type(self)(**{**self.arguments(), **changes})


def _rebuild(cls: type[TrainingError], arguments: dict[str, Any]) -> TrainingError:
    return cls(**arguments)


class ProjectError(TrainingError):
    """The project's folder, its script or its settings."""


class VerifyError(ProjectError):
    """The script failed or hung when it ran on this machine."""


class DependencyError(ProjectError):
    """A requirement that can't be frozen for the target platform."""


class ImageError(TrainingError):
    """Building an image."""


class WheelError(ImageError):
    """A wheel that can't become a layer."""


class BaseImageError(ImageError):
    """A base image that doesn't fit: it lacks the wanted Python, or is for another platform."""


class DockerError(ImageError):
    """The Docker engine, or what a Dockerfile did in it."""


class RegistryError(TrainingError):
    """The registry or image layout that holds an image.

    Args:
        what: As `TrainingError`.
        code: The registry's own error code, as "MANIFEST_UNKNOWN"; empty when it gave none.
        status: The HTTP status; 0 when there was no answer.
        options: As `TrainingError`.
    """

    def __init__(self, what: str, *, code: str = "", status: int = 0, **options: Any) -> None:  # noqa: ANN401
        super().__init__(what, **options)
        self.code = code
        self.status = status


class RegistryDenied(RegistryError):
    """The registry refused the account: HTTP 401 or 403."""


class RegistryUnavailable(RegistryError):
    """A cut connection, HTTP 429 or 5xx.

    Args:
        what: As `TrainingError`.
        retry_after: Seconds that the registry asked to wait; 0 when it named none.
        options: As `RegistryError`.
    """

    transient = True

    def __init__(self, what: str, *, retry_after: float = 0.0, **options: Any) -> None:  # noqa: ANN401
        super().__init__(what, **options)
        self.retry_after = retry_after


class VertexError(TrainingError):
    """The Vertex AI API refused, or gave an answer that can't be used.

    Args:
        what: As `TrainingError`.
        kind: One of `vertex.job_types.Kind`, as "quota"; empty where none fits.
        options: As `TrainingError`.
    """

    def __init__(self, what: str, *, kind: str = "", **options: Any) -> None:  # noqa: ANN401
        super().__init__(what, **options)
        self.kind = kind


class VertexUnavailable(VertexError):
    """The API could not be reached, or asked to come back later."""

    transient = True


class JobFailed(VertexError):
    """The job ended without success.

    Args:
        what: As `TrainingError`.
        retryable: Whether a new job could end otherwise; asking about this one again never helps.
        options: As `VertexError`.
    """

    def __init__(self, what: str, *, retryable: bool = False, **options: Any) -> None:  # noqa: ANN401
        super().__init__(what, **options)
        self.retryable = retryable


class ModelMissing(VertexError):
    """The job succeeded, and its model folder is empty."""


class DataError(TrainingError):
    """A data set: its files on this machine, or its objects in the bucket."""


class LocalServiceError(TrainingError):
    """local_vertex could not be started, or stopped during a call."""


class PrefectServerError(TrainingError):
    """The Prefect server can't be started, gives no answer, or refuses the login."""


class ResultError(TrainingError):
    """A step's kept result that can't be used. Transient: the next attempt does the step again."""

    transient = True


class StorageError(TrainingError):
    """This machine's disk: full, read-only, out of inodes."""


_STORAGE_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}


@contextmanager
def storage_errors(where: object) -> Iterator[None]:
    """Turns a full or read-only disk into `StorageError`; other errors pass unchanged."""
    try:
        yield
    except OSError as error:
        if error.errno in _STORAGE_ERRNOS:
            raise StorageError(
                f"can't write: {(error.strerror or 'disk error').lower()}",
                where=error.filename2 or where,  # `filename` may be the file that was read
                next_step="Free space there, or set VERTEX_TRAINING_HOME to another disk, and run again",
            ) from error
        raise
