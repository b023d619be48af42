"""Prefect as the commands use it: with a server that answers, and with one-line errors where it does not.

The server is that of Prefect's settings. Where they name none, it is the kept one of the home folder.
"""

from __future__ import annotations

import _thread
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from ..core.errors import PrefectServerError, TrainingError
from ..core.home import Home
from .output import StepHandler, print_error, print_only_steps, print_step

if TYPE_CHECKING:
    from .prefect_server.kept_server import KeptServer

_FIRST_START = 120
"""Seconds. The first start of a temporary server migrates a database, which takes longer than Prefect waits by
default."""

_ANSWER_SECONDS = 20.0
"""Longest wait for the first answer of a server in the settings."""

_GOOD_BYE = 5.0
"""Seconds for what runs to end its processes, once the server is given up."""

_CONSOLE_CLASS = "PREFECT_LOGGING_HANDLERS_CONSOLE_CLASS"
"""Environment variable of Prefect's logging configuration: the class of the console's handler."""

_START = "Start it with `prefect server start`, or unset PREFECT_API_URL"
_AGAIN = "Start the command again: finished steps stay finished, and a job that runs is not lost"
_LOG_IN = "Set PREFECT_API_KEY for Prefect Cloud, or PREFECT_API_AUTH_STRING for a server with a password"


@contextmanager
def prefect_session(*, temporary: bool = False, heartbeats: bool = True) -> Iterator[KeptServer | None]:
    """Prefect for a command that prints its own output: of Prefect's console lines only the steps' are shown.

    Settings that a person made are kept. Args, value and errors are those of `prefect_server`.
    """
    print_only_steps()
    with prefect_server(temporary=temporary, heartbeats=heartbeats) as kept:
        yield kept


@contextmanager
def prefect_server(*, temporary: bool = False, heartbeats: bool = True) -> Iterator[KeptServer | None]:
    """A Prefect server for the length of the block; yields the kept one if that is used.

    Args:
        temporary: Use a server of this process alone in place of the kept one.
        heartbeats: Whether runs in this process send heartbeats. They tell an automation that a worker was lost, and
            joining their thread takes up to a second.

    Raises:
        PrefectServerError: No server answers, or it refuses the login; also when that happens inside the block.
    """
    from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    from .light_imports import look_up_imported_blocks_first

    look_up_imported_blocks_first()
    changes: dict[Any, Any] = {} if heartbeats else {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
    with ExitStack() as stack:
        kept = None
        if PREFECT_API_URL.value():
            _require_answer()
        elif _forbidden():
            raise PrefectServerError(
                "there is no Prefect server, and Prefect's settings forbid to start one",
                where="PREFECT_API_URL",
                next_step="Set PREFECT_API_URL, or unset PREFECT_SERVER_ALLOW_EPHEMERAL_MODE",
            )
        elif temporary:
            stack.enter_context(_temporary_server())
        else:
            kept = stack.enter_context(_kept_server(changes))
        if kept is None and changes:
            stack.enter_context(temporary_settings(changes))
        stack.enter_context(_one_line_errors(kept=kept is not None))
        yield kept


def _forbidden() -> bool:
    """Whether a person forbids servers that Prefect starts; a profile that only lacks the setting does not."""
    from prefect.settings import get_current_settings

    setting = get_current_settings().server.ephemeral
    return "enabled" in setting.model_fields_set and not setting.enabled


@contextmanager
def _kept_server(changes: Mapping[Any, Any]) -> Iterator[KeptServer]:
    """Starts the kept server if it does not run, and points Prefect to it: this process and those that it starts."""
    from prefect import settings as prefect

    from ..prefect_private import global_settings
    from .prefect_server.keeper import kept_alive
    from .prefect_server.lifecycle import answering

    home = Home.default()
    server = answering(home, starting=_tell_start)
    settings: dict[Any, Any] = {
        prefect.PREFECT_API_URL: server.api,
        prefect.PREFECT_API_AUTH_STRING: server.auth_string,
        prefect.PREFECT_UI_URL: server.pages,
    }
    with (
        _environment(server.variables),
        prefect.temporary_settings({**settings, **changes}),
        global_settings(),
        kept_alive(home, server, lambda line: print_step("prefect", line), _give_up),
    ):
        yield server


def _give_up(error: TrainingError) -> None:
    """Ends this process: Prefect's client would go on asking a server that is gone, a minute for each question.

    What runs is interrupted first, so that it ends its own processes.
    """
    print_error(error.replace(next_step=_AGAIN))
    _thread.interrupt_main()
    time.sleep(_GOOD_BYE)
    os._exit(2)


def _tell_start() -> None:
    print_step("prefect", "starting a server that stays; `vertex-training local stop` ends it")


@contextmanager
def _temporary_server() -> Iterator[None]:
    """Has Prefect start its own server, which ends with this process, without output on this terminal."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS, temporary_settings

    with temporary_settings(set_defaults={PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: _FIRST_START}):
        try:
            with _environment({_CONSOLE_CLASS: f"{StepHandler.__module__}.{StepHandler.__name__}"}):
                get_client(sync_client=True)
        except (RuntimeError, ValueError) as error:
            raise PrefectServerError(
                f"Prefect can't start a temporary server: {str(error).partition('.')[0]}",
                where="--temporary-server",
                next_step="Leave it out, or set PREFECT_API_URL to a server that runs",
            ) from error
        yield


def _require_answer() -> None:
    """Checks that the server in the settings answers, and accepts the login."""
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    try:
        with (
            _one_line_errors(),
            temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
            get_client({"timeout": httpx.Timeout(_ANSWER_SECONDS)}, sync_client=True) as client,
        ):
            client.request("GET", "/admin/version")
    except httpx.HTTPStatusError:
        return  # it answers: Prefect Cloud has no such page
    except (httpx.UnsupportedProtocol, httpx.InvalidURL, RuntimeError, ValueError) as error:
        raise PrefectServerError(
            f"no Prefect server can be asked: {error}",
            where=f"PREFECT_API_URL {PREFECT_API_URL.value()}",
            next_step="Correct it; it looks like http://127.0.0.1:4200/api",
        ) from error


@contextmanager
def _one_line_errors(*, kept: bool = False) -> Iterator[None]:
    """Turns what Prefect's client raises without an answer, or without a valid login, into a `PrefectServerError`.

    Args:
        kept: Whether the kept server is used.
    """
    import httpx
    from prefect.settings import PREFECT_API_URL

    try:
        yield
    except httpx.TransportError as error:
        url = str(PREFECT_API_URL.value() or "")
        if isinstance(error, httpx.UnsupportedProtocol) or not _is_asked(error, url):
            raise
        slow = isinstance(error, httpx.TimeoutException)
        raise PrefectServerError(
            "the Prefect server takes too long to answer" if slow else "no Prefect server answers",
            where=f"PREFECT_API_URL {url}",
            next_step=_AGAIN if kept else _START,
        ) from error
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        if status not in {401, 403} and status < 500:
            raise
        refused = status in {401, 403}
        raise PrefectServerError(
            f"the Prefect server {'refuses this login' if refused else 'fails'}: HTTP {status}",
            where=f"PREFECT_API_URL {PREFECT_API_URL.value()}",
            next_step=_LOG_IN if refused else "Read the server's log, and try again",
        ) from error


def _is_asked(error: Exception, url: str) -> bool:
    """Whether a failed request went to the Prefect server."""
    try:
        return str(error.request.url).startswith(url)  # pyright: ignore[reportAttributeAccessIssue]
    except RuntimeError:  # an error without its request
        return True


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Sets environment variables for this process and those that are started in the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
