"""Starts, finds and stops a home's preloaded process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence

from ...core.errors import TrainingError
from ...core.home import Home
from . import handover
from .preload_facts import fingerprint, is_plain_folder, variables


def preload_for_next(words: Sequence[str]) -> None:
    """Starts a preloaded process, which takes the place of an earlier one, after a command that imported for itself."""
    if not handover.is_wanted(words) or not is_plain_folder():
        return
    try:
        folder = Home.default().preloaded
        facts = fingerprint()
        if _serves(Home.default(), facts):  # it had too much to do
            return
        options = {"folder": str(folder), "fingerprint": facts}
        with (folder / "log").open("wb") as log:
            subprocess.Popen(
                # -P: a module in the user's current folder must not replace one of ours.
                [sys.executable, "-P", "-m", f"{__package__}.preload_process", json.dumps(options)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=variables(os.environ),
            )
    except (OSError, TrainingError):
        return  # the next command imports for itself, too


def _serves(home: Home, facts: str) -> bool:
    """Whether a preloaded process listens that commands like this one can use."""
    try:
        with handover.connect(handover.socket_folder(home)) as connection:
            handover.send(connection, {"fingerprint": facts})
            return bool(handover.receive(connection).get("same"))
    except (OSError, EOFError, ValueError):
        return False


def find(home: Home) -> int:
    """The process; 0 if none listens."""
    if sys.platform != "linux":
        return 0
    try:
        with handover.connect(handover.socket_folder(home)) as connection:
            return handover.peer(connection)[0]
    except OSError:
        return 0


def stop(home: Home) -> bool:
    """Has the process take no further command; what it runs goes on. Returns whether there was one."""
    try:
        with handover.connect(handover.socket_folder(home)) as connection:
            handover.send(connection, {"stop": True})
    except (OSError, AttributeError):  # not there, or not on Linux
        return False
    deadline = time.monotonic() + handover.SECONDS
    while find(home) and time.monotonic() < deadline:
        time.sleep(0.02)
    return True
