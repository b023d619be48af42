"""What a test or a lesson can turn: delays, quotas and the failures that the real service has.

Every switch may be set at the start of the service and while it runs. Switches that say "the next N" count down by
one each time they strike.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ..core.errors import LocalServiceError


@dataclass
class Switches:
    """All switches, with the values of a fast and friendly service.

    Attributes:
        pending_seconds: How long a job stays PENDING before its replicas start.
        teardown_seconds: From the exit of the primary replica to the terminal state; about 60 on the real service.
        list_lag_seconds: A new job appears in lists only after this time.
        grace_seconds: From SIGTERM to SIGKILL; undocumented on the real service.
        ipc_host: Containers share the machine's IPC namespace (PyTorch's data loaders want its /dev/shm).
        quotas: Turns the three rates below on.
        reads_per_minute: get and list, together.
        submissions_per_minute: create and delete, together.
        log_reads_per_minute: entries.list.
        tail_sessions: Open TailLogEntries streams at a time.
        create_lost: The next N creates make their job and answer UNAVAILABLE.
        unavailable: The next N calls answer UNAVAILABLE and do nothing.
        resource_exhausted: The next N creates answer RESOURCE_EXHAUSTED and make nothing.
        fault_method: `unavailable` strikes only this method ("CreateCustomJob"); empty for all.
        stock_out: The next N attempts to start a job find no machines.
        preempt: The next N attempts that reach RUNNING lose their machine.
        out_of_memory: The next N attempts that reach RUNNING end for lack of memory.
        endpoint_region: The only region this endpoint serves; empty for the service's own.
        bucket_location: Where buckets seem to lie; empty for the service's own region.
        refused_service_account: Jobs that run as this account may not be created.
        cancel_of_ended_fails: Cancelling an ended job answers FAILED_PRECONDITION; else OK. Nobody knows which one
            the real service does.
    """

    pending_seconds: float = 0.0
    teardown_seconds: float = 0.0
    list_lag_seconds: float = 0.0
    grace_seconds: float = 10.0
    ipc_host: bool = False
    quotas: bool = False
    reads_per_minute: float = 600.0
    submissions_per_minute: float = 60.0
    log_reads_per_minute: float = 60.0
    tail_sessions: int = 10
    create_lost: int = 0
    unavailable: int = 0
    resource_exhausted: int = 0
    fault_method: str = ""
    stock_out: int = 0
    preempt: int = 0
    out_of_memory: int = 0
    endpoint_region: str = ""
    bucket_location: str = ""
    refused_service_account: str = ""
    cancel_of_ended_fails: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def take(self, name: str) -> bool:
        """Uses up one strike of a counting switch; False when none is left. Safe between threads."""
        with self._lock:
            left = getattr(self, name)
            if left > 0:
                setattr(self, name, left - 1)
            return left > 0

    def update(self, changes: Mapping[str, Any]) -> None:
        """Sets the named switches: all of them, or none.

        Raises:
            LocalServiceError: A name that is no switch, or a value of another type or below zero.
        """
        checked = {name: _checked(name, value) for name, value in changes.items()}
        with self._lock:
            for name, value in checked.items():
                setattr(self, name, value)

    def values(self) -> dict[str, Any]:
        """The present values by name."""
        with self._lock:
            return {name: getattr(self, name) for name in _DEFAULTS}


_DEFAULTS: dict[str, Any] = {f.name: f.default for f in fields(Switches) if not f.name.startswith("_")}


def _checked(name: str, value: object) -> object:
    if name not in _DEFAULTS:
        raise LocalServiceError(
            f"no switch is named {name!r}", where="switches", next_step=f"Use one of: {', '.join(_DEFAULTS)}"
        )
    wanted = type(_DEFAULTS[name])
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted or (isinstance(value, (int, float)) and not 0 <= value < float("inf")):
        raise LocalServiceError(
            f"switch {name} can't be {value!r}",
            where="switches",
            next_step=f"Give a {wanted.__name__}, not negative",
        )
    return value
