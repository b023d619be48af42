"""Prefect's client settings, console and server for the length of one command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..core.errors import ProjectError
from .output import step_lines_only


@contextmanager
def prefect_session() -> Iterator[None]:
    """Prefect for a command that prints its own output.

    Only the steps' lines reach the terminal. Where no server is set, Prefect starts one when it is first needed:
    its first start migrates a database, which takes longer than Prefect waits by default, so it gets more time. A
    person's own settings are kept.

    Raises:
        ProjectError: A server is set and doesn't answer.
    """
    from prefect.settings import (
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
        PREFECT_SERVER_LOGGING_LEVEL,
        temporary_settings,
    )

    settings = temporary_settings(
        set_defaults={
            PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: 120,
            PREFECT_SERVER_LOGGING_LEVEL: "CRITICAL",  # the server that Prefect starts prints to this terminal, too
        }
    )
    with settings, step_lines_only():
        require_prefect()
        yield


def require_prefect() -> None:
    """Checks that the Prefect server in the settings answers; without one Prefect starts its own.

    Raises:
        ProjectError: A server is set and doesn't answer.
    """
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value()
    if not url:
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
