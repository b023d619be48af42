"""What a replica is to the job that it belongs to, whether it runs as a process or in a container."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Reason = Literal["Completed", "Error", "StartError", "OOMKilled", "Lost"]


@dataclass(frozen=True, slots=True)
class Exit:
    """How one run of a replica ended.

    Attributes:
        code: Its exit status; 128 + N for signal N, as shells and containers count.
        reason: "StartError": it never ran. "Lost": nobody knows, whoever watched it is gone.
        message: Why it never ran.
        time: When, in seconds since 1970.
    """

    code: int
    reason: Reason
    message: str = ""
    time: float = 0.0


class Replica(Protocol):
    """One run of a replica. Every method can be called again by a service that was killed in the middle."""

    async def start(self) -> bool:
        """Starts it unless it was started before, ever; False when it could not be started at all."""
        ...

    async def wait(self) -> Exit:
        """How it ended."""
        ...

    async def stop(self, grace: float) -> None:
        """SIGTERM, then SIGKILL after `grace` seconds; returns when it has ended. Never starts it."""
        ...

    async def drain(self) -> None:
        """Returns when every line that it wrote is in the store; called after its end."""
        ...


class Backend(Protocol):
    """What runs all replicas of one attempt at a job."""

    def replica(self, name: str, number: int) -> Replica:
        """A run of a replica: `name` as "workerpool0-0", `number` 0 and up with each restart."""
        ...

    async def clean(self) -> None:
        """Removes what the attempt left, after its replicas have ended."""
        ...
