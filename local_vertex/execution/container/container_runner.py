"""Runs replicas as containers of a Docker engine.

The client is docker-py: the engine's streams switch protocols in the middle of a response, and docker-py finds the
engine, its certificates and logins as `docker` does. It is imported for the first image with a base.

The engine keeps what a later service needs: a container's name identifies the run, so a second start is a conflict; the
engine records the exit status; and it can repeat the container's output from the beginning, byte for byte, so the
position of a log stream says what was read.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ....core.errors import DockerError
from ....images.docker.engine import connect
from ....images.docker.engine_errors import engine_errors
from ....images.oci.config import PREFIX
from ..replica.attempt import Attempt
from ..replica.context import Context
from ..replica.job_spec import JobSpec
from ..replica.own_threads import OwnThreads
from ..replica.runner import Replica, ReplicaRunner
from .container import Container, ContainerSettings
from .container_log import ACTION

if TYPE_CHECKING:
    from docker import DockerClient

_RETRY_SECONDS = 1.0
_PURPOSE = "the image has a base, and a container has to run it"
_PORT = 2222  # Vertex AI's own: every replica has its own address there, as in a container network here
_JOB, _ATTEMPT, _REPLICA = f"{PREFIX}.job", f"{PREFIX}.attempt", f"{PREFIX}.replica"


class ContainerRuntime:
    """Runs replicas as containers; to be created and used in one event loop.

    Args:
        context: What all jobs share.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pulling = OwnThreads()

    def addresses(self, spec: JobSpec) -> Mapping[str, str]:
        """Each replica has a name in the job's network."""
        return {name: f"{name}:{_PORT}" for _, _, name in spec.replicas()}

    async def check(self) -> None:
        """Makes sure that a Docker engine responds."""
        (await asyncio.to_thread(connect, _PURPOSE)).close()

    async def runner(self, attempt: Attempt) -> ReplicaRunner:
        """The runner of an attempt; waits for the engine, in which containers of the attempt may be running."""
        while True:
            try:
                engine = await asyncio.to_thread(connect, _PURPOSE)
                return _ContainerRunner(self._context, self._pulling, attempt, engine)
            except DockerError:
                await asyncio.sleep(_RETRY_SECONDS)

    async def close(self) -> None:
        """Nothing: each attempt has its own connection."""


class _ContainerRunner:
    def __init__(self, context: Context, pulling: OwnThreads, attempt: Attempt, engine: DockerClient) -> None:
        self._context = context
        self._pulling = pulling
        self._attempt = attempt
        self._engine = engine
        self._prefix = f"vertex-training-{attempt.job_id}-{attempt.number}"
        self._lock = threading.Lock()

    def replica(self, name: str, number: int) -> Replica:
        settings = ContainerSettings(
            name=f"{self._prefix}-{name}-{number}",
            replica=name,
            run=f"{self._attempt.number}-{name}.{number}",
            labels={**self._labels, _REPLICA: name},
            network=self._network,
        )
        return Container(self._context, self._attempt, self._engine, self._pulling, settings)

    async def clean(self) -> None:
        """Removes the attempt's containers and network."""
        with contextlib.suppress(DockerError):
            await asyncio.to_thread(self._remove_all)
        self._engine.close()

    @property
    def _labels(self) -> dict[str, str]:
        """The labels of everything that belongs to the attempt."""
        return {_JOB: self._attempt.job_id, _ATTEMPT: str(self._attempt.number)}

    def _network(self) -> str | None:
        """The network in which replicas find each other by name; None for a single replica."""
        if len(self._attempt.addresses) == 1:
            return None
        with self._lock, engine_errors(ACTION):
            # Docker allows two networks of one name, so look for it before creating it.
            if not self._engine.networks.list(names=[f"^{self._prefix}$"]):
                self._engine.networks.create(self._prefix, driver="bridge", labels=self._labels)
        return self._prefix

    def _remove_all(self) -> None:
        from docker.errors import NotFound

        wanted: dict[str, Any] = {"label": [f"{name}={value}" for name, value in self._labels.items()]}
        with engine_errors(ACTION):
            for container in self._engine.containers.list(all=True, filters=wanted, ignore_removed=True):
                with contextlib.suppress(NotFound):
                    container.remove(force=True, v=True)
            for network in self._engine.networks.list(filters=wanted):
                with contextlib.suppress(NotFound):
                    network.remove()
