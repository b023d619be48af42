"""One attempt at a job: everything that its replicas need to be told."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from .environment import platform_env, replica_env
from .spec import JobSpec, Pool

_CONTAINER_PORT = 2222
"""Vertex AI's own: every replica has an address of its own there, and in containers here."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Which try at which job.

    Attributes:
        job_id: Digits.
        number: From 1.
        spec: The job's.
        addresses: HOST:PORT of each replica.
        project_number: Digits.
        region: As "us-central1".
    """

    job_id: str
    number: int
    spec: JobSpec
    addresses: Mapping[str, str]
    project_number: str
    region: str

    def pool(self, replica: str) -> Pool:
        """The pool of a replica."""
        return next(pool for pool, _, name in self.spec.replicas() if name == replica)

    def env(self, replica: str) -> dict[str, str]:
        """The platform's and the job's own variables."""
        platform = platform_env(
            self.spec,
            job_id=self.job_id,
            project_number=self.project_number,
            region=self.region,
            addresses=self.addresses,
            replica=replica,
        )
        return replica_env(platform, self.pool(replica).env)


def container_addresses(spec: JobSpec) -> dict[str, str]:
    """Each replica has a name in the job's network."""
    return {name: f"{name}:{_CONTAINER_PORT}" for _, _, name in spec.replicas()}


def process_addresses(spec: JobSpec) -> dict[str, str]:
    """Each replica has a port of this machine that was free a moment ago."""
    names = [name for _, _, name in spec.replicas()]
    with ExitStack() as stack:
        # All are held until all are known, so that no two are the same.
        sockets = [stack.enter_context(socket.socket()) for _ in names]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return {name: f"127.0.0.1:{each.getsockname()[1]}" for name, each in zip(names, sockets, strict=True)}
