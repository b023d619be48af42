"""Which cloud the service stands for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """Which project and region the service stands for.

    Attributes:
        project_id: As "local".
        project_number: Digits.
        region: As "us-central1".
    """

    project_id: str
    project_number: str
    region: str
