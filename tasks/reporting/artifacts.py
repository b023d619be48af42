"""Names of a run's artifacts, how their pages are written, and a guard: a failure to show one never ends a run."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from prefect.artifacts import create_markdown_artifact
from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

_PROJECT = ContextVar("project", default="training")

_GATHERED: ContextVar[list[tuple[str, str]] | None] = ContextVar("gathered", default=None)
"""Descriptions and texts of pages that become one artifact."""


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


def write_page(text: str, what: str, description: str) -> None:
    """Writes a page as an artifact of its own, or adds it to the one that is being gathered.

    Args:
        text: The page's Markdown.
        what: Second part of the artifact's key, as "model".
        description: What the page shows.
    """
    gathered = _GATHERED.get()
    if gathered is not None:
        gathered.append((description, text))
        return
    create_markdown_artifact(text, key=artifact_key(what), description=description)


@contextmanager
def one_page(what: str, description: str) -> Iterator[None]:
    """Makes one artifact of the pages that are written inside, however that ends; none if there are none.

    Each artifact is a request to Prefect's server, which many short runs feel.

    Args:
        what: Second part of the artifact's key.
        description: What the pages show together.
    """
    gathered: list[tuple[str, str]] = []
    token = _GATHERED.set(gathered)
    try:
        yield
    finally:
        _GATHERED.reset(token)
        if gathered:
            text = "\n\n".join(f"## {about}\n\n{page}" for about, page in gathered)
            with optional_display():
                write_page(text, what, description)
