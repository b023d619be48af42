"""What is checked: a project, a place, an image's repository, and the job that will run."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..job_types import JobDescription

_ARTIFACT_REGISTRY = re.compile(r"(?P<location>[a-z0-9-]+)-docker\.pkg\.dev")


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of Artifact Registry.

    Attributes:
        project: Its project's id.
        location: A region, or "us", "europe" or "asia".
        name: Its name.
    """

    project: str
    location: str
    name: str

    @property
    def path(self) -> str:
        """Its resource name."""
        return f"projects/{self.project}/locations/{self.location}/repositories/{self.name}"

    @property
    def options(self) -> str:
        """How gcloud names it."""
        return f"{self.name} --location={self.location} --project={self.project}"

    @classmethod
    def of(cls, host: str, path: str) -> Repository | None:
        """The repository of an image's host and path; None where the registry isn't Artifact Registry's own host."""
        found, parts = _ARTIFACT_REGISTRY.fullmatch(host), path.split("/")
        return cls(parts[0], found["location"], parts[1]) if found and len(parts) > 1 else None


@dataclass(frozen=True, slots=True)
class Subject:
    """What is checked.

    Attributes:
        project: The project's id.
        region: Of the job.
        bucket: Name of the bucket for output.
        repository: Where the image is; None for another registry.
        service_account: The account that the job runs as; None for Vertex AI's own.
        tensorboard: Full name; None without one.
        network: Full name of the network to peer the job with; None without one.
        persistent_resource: Its id; None without one.
        encryption_key: Full name of the key that encrypts the job's data; None for Google's own.
        restricted_image: Whether the job's image is one of those that Google restricts.
        job: The job; None for a check of the blocks alone.
    """

    project: str
    region: str
    bucket: str
    repository: Repository | None = None
    service_account: str | None = None
    tensorboard: str | None = None
    network: str | None = None
    persistent_resource: str | None = None
    encryption_key: str | None = None
    restricted_image: bool = False
    job: JobDescription | None = None
