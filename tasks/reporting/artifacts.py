"""How a run's artifacts are called, and the promise that showing something never ends a training."""

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
    """Names the artifacts of what runs inside after a project, so that each project has a history of its own."""
    token = _PROJECT.set(re.sub(r"[^a-z0-9]+", "-", project.lower()).strip("-") or "training")
    try:
        yield
    finally:
        _PROJECT.reset(token)


def artifact_key(what: str) -> str:
    """The key under which Prefect's Artifacts page keeps every version of it, as "digits-model"."""
    return f"{_PROJECT.get()}-{what}"


def copied(text: str) -> str:
    """Markdown of what people copy. A block scrolls; in a line or a table a long word lies over what is beside it."""
    return f"````text\n{text}\n````"


@contextmanager
def only_shown() -> Iterator[None]:
    """What happens inside is for a person to look at: a failure becomes a line of the log, and the run goes on."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - hours of training are not lost for a table
        try:
            logger = get_run_logger()
        except MissingContextError:
            logger = logging.getLogger(__name__)
        logger.warning("not shown: %s: %s", type(error).__name__, error)
