"""Prefect as the commands use it: quiet, with a server that answers, and with patience for its first start."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ..core.errors import ProjectError
from .output import StepHandler, print_only_steps

_FIRST_START = 120
"""Seconds. The first start of the server that Prefect starts itself migrates a database, which takes longer than
Prefect waits by default."""

_CONSOLE_CLASS = "PREFECT_LOGGING_HANDLERS_CONSOLE_CLASS"
"""Environment variable of Prefect's logging configuration: the class of the console's handler."""


@contextmanager
def prefect_session() -> Iterator[None]:
    """Prefect for a command that prints its own output: of Prefect's console lines only the steps' are shown.

    Settings that a person made are kept.

    Raises:
        ProjectError: No server answers.
    """
    from prefect.settings import PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS, temporary_settings

    print_only_steps()
    with temporary_settings(set_defaults={PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: _FIRST_START}):
        require_prefect()
        yield


def require_prefect() -> None:
    """Checks that the Prefect server in the settings answers; if none is set, has Prefect start its own.

    Raises:
        ProjectError: The server doesn't answer, or Prefect may not start one.
    """
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value()
    if not url:
        _start_server()
        return
    try:
        with get_client(sync_client=True) as client:
            trouble = client.api_healthcheck()
    except RuntimeError as error:
        trouble = error
    if trouble is not None:
        raise ProjectError(
            "no Prefect server answers",
            where=f"PREFECT_API_URL {url}",
            next_step="Start it with `prefect server start`, or unset PREFECT_API_URL",
        ) from trouble


def _start_server() -> None:
    """Has Prefect start its own server, which ends with this process, without output on this terminal."""
    from prefect.client.orchestration import get_client

    try:
        with _variable(_CONSOLE_CLASS, f"{StepHandler.__module__}.{StepHandler.__name__}"):
            get_client(sync_client=True)
    except ValueError as error:
        raise ProjectError(
            "there is no Prefect server, and Prefect's settings forbid to start one",
            where="PREFECT_API_URL",
            next_step="Set PREFECT_API_URL, or unset PREFECT_SERVER_ALLOW_EPHEMERAL_MODE",
        ) from error


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """Sets an environment variable for the processes that are started in the block."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
