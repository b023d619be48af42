"""One attempt at a job: the data that its replicas need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ....core.placeholders import expand_variables
from ...location import Location
from .environment import platform_env
from .job_spec import JobSpec, Pool


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a job.

    Attributes:
        job_id: Digits.
        number: 1 for the first attempt.
        spec: The job's spec.
        addresses: HOST:PORT of each replica, by the replica's name.
        location: The project and region of the job.
    """

    job_id: str
    number: int
    spec: JobSpec
    addresses: Mapping[str, str]
    location: Location

    def pool(self, replica: str) -> Pool:
        """The worker pool of a replica."""
        return next(pool for pool, _, name in self.spec.replicas() if name == replica)

    def env(self, replica: str, storage: Mapping[str, str]) -> dict[str, str]:
        """The variables of a replica: those given for Cloud Storage, those of Vertex AI, and the job's own."""
        platform = platform_env(
            self.spec,
            job_id=self.job_id,
            location=self.location,
            addresses=self.addresses,
            replica=replica,
        )
        return expand_variables({**storage, **platform}, self.pool(replica).env)
