"""What a run returns."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step: its name, Prefect's name for how it ended (Completed or Cached), its seconds."""

    name: str
    state: str
    seconds: float


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """Point B.

    Attributes:
        image: By digest.
        job: The custom job's full name.
        state: Its last state.
        model: Where the model lies: a folder for local_vertex, `gs://...` in the cloud.
        receipt: Where its receipt lies, beside it.
        files: The model's files, relative to `model`, with sizes in bytes and SHA-256.
        steps: In the road's order.
    """

    image: str
    job: str
    state: str
    model: str
    receipt: str = ""
    files: list[dict[str, Any]] = field(default_factory=list)
    steps: list[StepReport] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; seconds rounded to milliseconds."""
        data = asdict(self)
        for step in data["steps"]:
            step["seconds"] = round(step["seconds"], 3)
        return data
