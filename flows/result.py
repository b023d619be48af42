"""The result of a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


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
    """

    image: str
    job: str
    state: str
    model: str
    receipt: str = ""
    files: list[dict[str, Any]] = field(default_factory=list)
    steps: list[StepReport] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The result as plain values for JSON; seconds are rounded to milliseconds."""
        data = asdict(self)
        for step in data["steps"]:
            step["seconds"] = round(step["seconds"], 3)
        return data
