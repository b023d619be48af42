"""The result of a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ..vertex.job_types import Metric


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step: its name, the name of its final state in Prefect (Completed or Cached), its duration in seconds."""

    name: str
    state: str
    seconds: float


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a successful run produced.

    Attributes:
        image: The image's reference, by digest.
        job: The custom job's full name.
        state: The job's last state.
        model: The model's location: a folder for local_vertex, `gs://...` in the cloud.
        receipt: The location of the receipt, beside the model.
        files: The model's files, relative to `model`, with sizes in bytes and SHA-256.
        steps: The steps in the order of their run.
        duration: How long the job ran, in seconds by the service's clock.
        metrics: The numbers that the script printed as JSON lines, by name: the last, lowest and highest value of each.
        links: Addresses of pages for a browser: the `run` in Prefect's UI, and in the cloud the `job`, its `log` and
            the `model`. Those that don't exist are missing.
    """

    image: str
    job: str
    state: str
    model: str
    receipt: str = ""
    files: list[dict[str, Any]] = field(default_factory=list)
    steps: list[StepReport] = field(default_factory=list)
    duration: float = 0.0
    metrics: dict[str, Metric] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The result as plain values for JSON; seconds are rounded to milliseconds."""
        data = asdict(self)
        data["duration"] = round(self.duration, 3)
        for step in data["steps"]:
            step["seconds"] = round(step["seconds"], 3)
        return data
