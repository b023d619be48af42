"""The one exception tree; `transient` says what a retry can help.

    TrainingError
    |-- ProjectError            the folder, its script, its settings
    |   |-- VerifyError         the local run failed or hung
    |   `-- DependencyError     a requirement that can't be frozen
    |-- ImageError              building an image
    |   |-- WheelError          a wheel that can't become a layer
    |   |-- BaseImageError      a base without the Python or platform that is wanted
    |   `-- DockerError         the engine or a Dockerfile
    |-- RegistryError           the place where an image lies
    |   |-- RegistryDenied      who may not do what, and the command that grants it
    |   `-- RegistryUnavailable transient: a cut connection, 429, 5xx
    |-- VertexError             the API that runs jobs
    |   |-- VertexUnavailable   transient
    |   |-- JobFailed           the job ended without success
    |   `-- ModelMissing        the job succeeded and left no model
    |-- LocalServiceError       local_vertex could not start or was lost
    `-- StorageError            this machine's disk: full, read-only

Every message is one line: what was wrong, where, and the next step.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager


class TrainingError(Exception):
    """A failure that a user can act on.

    Args:
        what: What is wrong, naming the thing; no full stop.
        where: The place: a path, a line, a host, a field.
        next_step: The one next thing to do, as an imperative sentence without a full stop.
        detail: More lines for whoever wants them (a program's last output); never part of `str(error)`.
        transient: Overrides the class's own answer to "can trying again help?".
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
        # Prefect pickles a failed task's exception; keyword-only arguments need this.
        return (_rebuild, (type(self), self.__dict__.copy()))


def _rebuild(cls: type[TrainingError], state: dict[str, object]) -> TrainingError:
    error = cls.__new__(cls)
    Exception.__init__(error, state["what"])
    error.__dict__.update(state)
    return error


class ProjectError(TrainingError):
    """The project folder, its script or its settings."""


class VerifyError(ProjectError):
    """The script failed or hung when it was run here."""


class DependencyError(ProjectError):
    """A requirement that can't be frozen for the target platform."""


class ImageError(TrainingError):
    """Building an image."""


class WheelError(ImageError):
    """A wheel that can't become a layer."""


class BaseImageError(ImageError):
    """A base image that doesn't fit: no such Python, another platform."""


class DockerError(ImageError):
    """The Docker engine, or what a Dockerfile did in it."""


class RegistryError(TrainingError):
    """The registry or layout in which an image lies.

    Attributes:
        code: The registry's own word, as "MANIFEST_UNKNOWN".
        status: HTTP's; 0 where no answer was the trouble.
    """

    code: str = ""
    status: int = 0


class RegistryDenied(RegistryError):
    """The registry refused who asked: 401 or 403."""


class RegistryUnavailable(RegistryError):
    """A cut connection, 429 or 5xx; `retry_after` is how many seconds the registry asked for."""

    transient = True
    retry_after: float = 0.0


class VertexError(TrainingError):
    """The Vertex AI API refused, or answered what can't be used.

    Attributes:
        kind: One of `vertex.failures.Kind`, as "quota"; empty where none fits.
    """

    kind: str = ""


class VertexUnavailable(VertexError):
    """The API could not be reached or asked to come back later."""

    transient = True


class JobFailed(VertexError):
    """The job ended without success.

    Attributes:
        retryable: Whether a new job could end otherwise; asking for this one again never helps.
    """

    retryable: bool = False


class ModelMissing(VertexError):
    """The job succeeded, and its model folder is empty."""


class LocalServiceError(TrainingError):
    """local_vertex could not be started, or stopped in the middle."""


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
                where=error.filename2 or where,  # `filename` may be what was read
                next_step="Free space there, or set VERTEX_TRAINING_HOME to another disk, and run again",
            ) from error
        raise
