"""Starts servers of this package as processes that outlive their starter, which waits until they are ready."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import TrainingError, storage_errors

READY = "ok"
"""What `start_detached` returns for a process that is ready."""


def start_detached(
    module: str,
    options: Mapping[str, Any],
    log: Path,
    *,
    variables: Mapping[str, str] | None = None,
    wait: float | None = None,
) -> str:
    """Starts `python -m module` in a session of its own; returns `READY`, or why it did not get there.

    Args:
        module: Its `main` calls `serve_detached`.
        options: What the process gets, as JSON.
        log: The file that gets its output.
        variables: Its environment. Default: this process's.
        wait: Seconds to wait for it. Default: as long as it takes.

    Returns:
        `READY`, the arguments of the error that it reported (for `reported_error`), or "" if it ended or is not ready
        by then.

    Raises:
        StorageError: The log can't be written.
    """
    reader, writer = os.pipe()
    with os.fdopen(reader) as pipe, storage_errors(log), log.open("ab") as output:
        try:
            # -P: a module in the user's current folder must not replace one of ours.
            starter = subprocess.Popen(
                [sys.executable, "-P", "-m", module, json.dumps(options), str(writer)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[writer],
                start_new_session=True,
                env=None if variables is None else dict(variables),
            )
        finally:
            os.close(writer)
        ready, _, _ = select.select([pipe], [], [], wait)
        result = pipe.read() if ready else ""
        if ready:
            starter.wait()
    return result


def reported_error(result: str, error: type[TrainingError]) -> TrainingError | None:
    """The error that a process reported to `start_detached`, of that type; None if it ended without a word."""
    try:
        return error(**json.loads(result))
    except (ValueError, TypeError):
        return None


def serve_detached(arguments: list[str], serve: Callable[[dict[str, Any], Callable[[], None]], None]) -> int:
    """The main function of a process that `start_detached` starts; returns its exit code.

    Args:
        arguments: The process's arguments: the options as JSON, and the number of a file descriptor for the report.
        serve: Gets the options and a function to call when it is ready; returns at the server's end.
    """
    options, descriptor = json.loads(arguments[0]), int(arguments[1])
    # The starter waits for this process only until here: the server outlives the process that started it.
    if os.fork():
        os._exit(0)  # public, in spite of its name: ends the parent without its exit handlers
    os.set_inheritable(descriptor, False)
    with os.fdopen(descriptor, "w") as pipe:

        def report_ready() -> None:
            pipe.write(READY)
            pipe.close()

        try:
            serve(options, report_ready)
        except TrainingError as error:
            if pipe.closed:
                raise
            pipe.write(json.dumps({"what": error.what, "where": error.where, "next_step": error.next_step}))
            return 1
    return 0
