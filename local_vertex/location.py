"""The project and region that the service stands for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Location:
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
