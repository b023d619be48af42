"""What the commands `vertex-training local ...` say of the kept server."""

from __future__ import annotations

import os
import shlex
import time
import webbrowser
from pathlib import Path

from ...core.errors import PrefectServerError
from ...core.home import Home
from . import lifecycle
from .kept_server import KeptServer, stopped_path
from .lifecycle import answering, check_answer, find
from .usage import Usage


def status(home: Home, *, connect: bool = False) -> str:
    """Whether the server runs, and where; with `connect` also its password."""
    server = find(home)
    if server is None:
        return "no Prefect server runs; the next run starts one, unless PREFECT_API_URL is set"
    lines = [f"the Prefect server runs: {server.pages}, {_process(server)}"]
    if connect:
        lines += ["", f"password: {server.auth_string}", environment(home)]
    return "\n".join(lines)


def open_page(home: Home, run: str = "") -> str:
    """Opens a run's page, or the list of runs, in the browser; starts the server if it does not run.

    Where Prefect's settings name another server, its pages are opened.

    Raises:
        PrefectServerError: The server can't be started, or does not answer.
    """
    from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL

    if PREFECT_API_URL.value():
        url = f"{PREFECT_UI_URL.value()}/runs" + (f"/flow-run/{run}" if run else "")
        webbrowser.open(url)
        return url
    server = answering(home)
    url = f"{server.pages}/runs/flow-run/{run}" if run else f"{server.pages}/runs"
    webbrowser.open(url)
    return f"{url}\nlog in with: {server.auth_string}"


def environment(home: Home) -> str:
    """The shell commands that set Prefect's variables for the running server.

    Raises:
        PrefectServerError: None runs.
    """
    server = find(home)
    if server is None:
        raise PrefectServerError(
            "no Prefect server runs", where=home.root, next_step="Start it: vertex-training local open"
        )
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in server.variables.items())


def stop(home: Home) -> str:
    """Stops the server; the commands that use it don't start it again.

    Raises:
        PrefectServerError: It does not end.
    """
    if find(home) is None:
        return "no Prefect server runs"
    stopped_path(home).touch()
    lifecycle.stop(home)
    return "the Prefect server stopped"


def would_end(home: Home) -> list[str]:
    """Lines on the schedules and runs that would end with the server; none if there are none."""
    server = find(home)
    if server is None:
        return []
    usage = _usage(server)
    return [
        *(f"schedule that rests until the next start: {name}" for name in usage.schedules),
        *(f"run that is not over: {name}" for name in usage.runs),
    ]


def _usage(server: KeptServer) -> Usage:
    """What uses the server; nothing if it does not answer: it has to be stopped all the more."""
    from prefect.settings import (
        PREFECT_API_AUTH_STRING,
        PREFECT_API_URL,
        PREFECT_CLIENT_MAX_RETRIES,
        temporary_settings,
    )

    from .usage import read_usage

    try:
        check_answer(server)
        settings = {PREFECT_API_URL: server.api, PREFECT_API_AUTH_STRING: server.auth_string}
        with temporary_settings({**settings, PREFECT_CLIENT_MAX_RETRIES: 0}):
            return read_usage()
    except Exception:  # noqa: BLE001 - see above
        return Usage()


def _process(server: KeptServer) -> str:
    """The process, its age and its memory where the system tells it."""
    hours, minutes = divmod(max(int(time.time() - server.started), 0) // 60, 60)
    memory = resident_megabytes(server.pid)
    return f"process {server.pid}, for {hours}h{minutes:02}m" + (f", {memory:.0f} MB" if memory else "")


def resident_megabytes(pid: int) -> float:
    """A process's resident memory; 0 where the system has no /proc."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
