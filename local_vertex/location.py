"""The projects and regions that the service stands for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Location(NamedTuple):
    """A project's location: what custom jobs are created in.

    Attributes:
        project_id: For example "local".
        project_number: Digits; resource names in responses contain it.
        region: For example "us-central1".
    """

    project_id: str
    project_number: str
    region: str

    @property
    def name(self) -> str:
        """The resource name, `projects/NUMBER/locations/REGION`."""
        return f"projects/{self.project_number}/locations/{self.region}"


@dataclass(frozen=True, slots=True)
class Locations:
    """Every project and region of a service; each pair has jobs, capacity and quotas of its own.

    Attributes:
        projects: The projects' numbers by id; the first is the default.
        regions: The regions; the first is the default.
    """

    projects: Mapping[str, str]
    regions: Sequence[str]

    @property
    def default(self) -> Location:
        """The first project and region: those of jobs that an earlier version stored without any."""
        project, number = next(iter(self.projects.items()))
        return Location(project, number, self.regions[0])

    def project(self, name: str) -> str | None:
        """The id of a project that is served, by its id or number; None if it isn't served."""
        if name in self.projects:
            return name
        return next((project for project, number in self.projects.items() if number == name), None)

    def location(self, project: str, region: str) -> Location:
        """A project's location.

        Args:
            project: The id of a project that is served.
            region: A region that is served.
        """
        return Location(project, self.projects[project], region)


def project_number(project: str) -> str:
    """A number for a project that has none: twelve digits, always the same for the same id."""
    digest = int(hashlib.sha256(project.encode()).hexdigest(), 16)
    return str(10**11 + digest % (9 * 10**11))
