"""The protocol for running replicas, which processes and containers implement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from .attempt import Attempt
from .job_spec import JobSpec

Reason = Literal["Completed", "Error", "StartError", "OOMKilled", "Lost"]


@dataclass(frozen=True, slots=True)
class Exit:
    """How one run of a replica ended.

    Attributes:
        code: Exit status; 128 + N after signal N, as shells and container engines report it.
        reason: "StartError": it could not be started. "Lost": its exit status is unknown because the process that
            watched it is gone.
        message: Why it could not be started.
        time: When it ended, in seconds since 1970.
    """

    code: int
    reason: Reason
    message: str = ""
    time: float = 0.0


class Replica(Protocol):
    """One run of a replica. Every method is safe to repeat by a service that replaces a killed one."""

    async def start(self) -> bool:
        """Starts the replica unless it was ever started before; False when it can't be started."""
        ...

    async def wait(self) -> Exit:
        """Waits for the end of the replica."""
        ...

    async def stop(self, grace: float) -> None:
        """Sends SIGTERM, then SIGKILL after `grace` seconds, and waits for the end. Never starts the replica."""
        ...

    async def drain(self) -> None:
        """Waits until all output is in the store; called after the replica's end."""
        ...


class ReplicaRunner(Protocol):
    """Runs all replicas of one attempt at a job."""

    def replica(self, name: str, number: int) -> Replica:
        """One run of a replica.

        Args:
            name: For example "workerpool0-0".
            number: 0 for the first run, one more with each restart.
        """
        ...

    async def clean(self) -> None:
        """Removes what the attempt left behind, after its replicas have ended."""
        ...


class ReplicaRuntime(Protocol):
    """One way to run replicas. An executor has one of each kind, for all of its jobs."""

    def addresses(self, spec: JobSpec) -> Mapping[str, str]:
        """HOST:PORT for each replica of a new attempt, by the replica's name."""
        ...

    async def check(self) -> None:
        """Makes sure that replicas can be run.

        Raises:
            DockerError: No Docker engine responds.
        """
        ...

    async def runner(self, attempt: Attempt) -> ReplicaRunner:
        """The runner of an attempt; waits until there is one."""
        ...

    async def close(self) -> None:
        """Releases this service's resources; replicas go on."""
        ...
