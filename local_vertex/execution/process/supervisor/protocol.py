"""The protocol between the service and the supervisor: one JSON object a line, over a unix socket.

Requests of the service:

    {"op": "start", "run": "JOB/1-workerpool0-0.0", "argv": [...], "env": {...}, "cwd": "..."}
    {"op": "stop", "run": "...", "grace": 10.0}

Events of the supervisor: `{"event": "started", "run": ...}` and

    {"event": "exited", "run": ..., "code": ..., "reason": ..., "message": ..., "time": ...}
"""

from __future__ import annotations

import time
from typing import Any

SOCKET = "supervisor-1.sock"
"""Name of the socket in the folder of the runs; the number is the version of the protocol."""

MARK = "VERTEX_TRAINING_RUN"
"""Environment variable of all processes of a run: it identifies them even in a session of their own."""

SIGNAL_BASE = 128
"""Added to a signal's number for the exit status of a process that the signal ended; alone: it was never started."""

Message = dict[str, Any]


def exited(run: str, code: int, reason: str, message: str = "") -> Message:
    """The event for the end of a run.

    Args:
        run: Name of the run.
        code: Exit status.
        reason: "Completed", "Error", "StartError" or "Lost".
        message: Why it could not be started.
    """
    return {"event": "exited", "run": run, "code": code, "reason": reason, "message": message, "time": time.time()}
