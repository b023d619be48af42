"""What became of each place that was tried, as rows for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .request_view import Position, View


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of the list for people.

    Attributes:
        region: As "europe-west4".
        machine: As "g2-standard-12 with 1 NVIDIA_L4".
        strategy: As "SPOT".
    """

    region: str
    machine: str
    strategy: str

    def __str__(self) -> str:
        return f"{self.region}, {self.machine}, {self.strategy}"


def rows(places: Sequence[Place], view: View) -> list[dict[str, str]]:
    """One row for each job and each refused create, in the order in which they were tried."""
    made = [(job.created, job.position, job.name, job) for job in view.jobs]
    found: list[tuple[float, dict[str, str]]] = []
    for created, position, name, job in made:
        waited = (job.ended or view.now) - created
        state = job.why or job.ending or job.phase
        found.append((created, _row(places, position, waited, state, name)))
    for position, refusal in view.refusals.items():
        found.append((refusal.at, _row(places, position, 0.0, refusal.why, "")))
    return [row for _, row in sorted(found, key=lambda each: each[0])]


def _row(places: Sequence[Place], position: Position, seconds: float, why: str, job: str) -> dict[str, str]:
    entry = position.entry
    place = places[entry] if entry < len(places) else Place("", "", "")
    return {
        "round": str(position.round),
        "place": str(entry + 1),
        "region": place.region,
        "machine": place.machine,
        "strategy": place.strategy,
        "seconds": f"{seconds:.0f}",
        "how it ended": why,
        "job": job.rpartition("/")[2],
    }
