"""Runs one command several times at once, each with further variables: a job's machines, in the local run.

Started as a program by its path: `PYTHON node_group.py VARIABLES COMMAND...`; VARIABLES is a JSON list of objects. It
ends with the first command that fails, or when all have ended, and passes signals on.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import FrameType

_END_SECONDS = 5.0
_STOP_SECONDS = 30.0
"""The others have this long to end after a signal, as on machines of their own."""


def run(variables: Sequence[Mapping[str, str]], command: Sequence[str]) -> int:
    """Runs the command once for each set of variables; returns the first status that isn't 0."""
    running: dict[int, subprocess.Popen[bytes]] = {}
    signals: list[int] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        signals.append(number)
        for each in running.values():
            with contextlib.suppress(ProcessLookupError):
                each.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    for own in variables:
        process = subprocess.Popen(command, env={**os.environ, **own})
        running[process.pid] = process
    first = 0
    while running and not first:
        pid, status = os.wait()
        if pid in running:
            running.pop(pid).returncode = first = os.waitstatus_to_exitcode(status)
    _end(list(running.values()), signalled=bool(signals))
    return first if first >= 0 else 128 - first


def _end(processes: Sequence[subprocess.Popen[bytes]], *, signalled: bool) -> None:
    """Ends the others: without the one that failed they would wait for ever. After a signal they are ending already."""
    for each in processes:
        if not signalled:
            each.terminate()
    for each in processes:
        try:
            each.wait(_STOP_SECONDS if signalled else _END_SECONDS)
        except subprocess.TimeoutExpired:
            each.kill()
            each.wait()


if __name__ == "__main__":
    sys.exit(run(json.loads(sys.argv[1]), sys.argv[2:]))
