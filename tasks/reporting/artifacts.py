"""Names of a run's artifacts; and a guard, so that a failure to show one never ends a run."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

_PROJECT = ContextVar("project", default="training")


@contextmanager
def artifacts_of(project: str) -> Iterator[None]:
    """Puts the project's name into the keys of artifacts made inside, so that each project has its own history."""
    token = _PROJECT.set(re.sub(r"[^a-z0-9]+", "-", project.lower()).strip("-") or "training")
    try:
        yield
    finally:
        _PROJECT.reset(token)


def artifact_key(what: str) -> str:
    """The key under which Prefect's Artifacts page lists all versions of an artifact, as "digits-model"."""
    return f"{_PROJECT.get()}-{what}"


@contextmanager
def optional_display() -> Iterator[None]:
    """For code that only displays something: an exception becomes a line in the log, and the run goes on."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - no artifact is worth losing a training
        try:
            logger = get_run_logger()
        except MissingContextError:
            logger = logging.getLogger(__name__)
        logger.warning("not shown: %s: %s", type(error).__name__, error)
