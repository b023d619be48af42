"""Preempts a training on two machines of two processes three times, and compares it with an undisturbed one.

    python benchmarks/vertex/resume.py [PROJECT]

The project is `examples/many_machines`, with PyTorch. Both runs go through the train flow, with jobs in local_vertex.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from prefect.testing.utilities import prefect_test_harness
from prefect_vertex_training import train
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import lifecycle
from prefect_vertex_training.local_vertex.client import set_faults

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 40.0
"""From the start of a job to its preemption: importing PyTorch four times takes most of it on a small machine."""
_STEP = re.compile(r"first step (\d+)")
_RANK = re.compile(r"rank \d+ of \d+: the sum over all ranks is \d+")
ARGS = ["--steps", "3000", "--every", "50"]


@dataclass(eq=False)
class Starts(logging.Handler):
    """Collects what the script says of its starts and ranks."""

    first: list[int] = field(default_factory=list)
    ranks: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        self.first += map(int, _STEP.findall(text))  # a record may hold several lines of a job
        self.ranks.update(_RANK.findall(text))


def run(project: str, home: Home, preemptions: int, seconds: float) -> tuple[float, Starts, dict[str, object]]:
    """One run; returns its time, its starts, and the model's facts."""
    set_faults(lifecycle.ensure_running(home), {"preempt": preemptions, "preempt_after_seconds": seconds})
    starts = Starts()
    logger = logging.getLogger("prefect")
    logger.addHandler(starts)
    began = monotonic()
    try:
        result = train(project, args=ARGS, verify="off" if preemptions else "auto")
    finally:
        logger.removeHandler(starts)
    return monotonic() - began, starts, json.loads(Path(result.model, "model.json").read_text())


def main() -> None:
    """Runs both and prints the table."""
    project = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "examples" / "many_machines")
    home = Home.default()
    with prefect_test_harness(server_startup_timeout=120):
        try:
            rows = [
                ("undisturbed", *run(project, home, 0, 0.0)),
                ("preempted three times", *run(project, home, 3, SECONDS)),
            ]
        finally:
            lifecycle.stop(home)
    print("run | seconds | first steps | ranks | last step | weight")
    for name, seconds, starts, model in rows:
        print(f"{name} | {seconds:.0f} | {starts.first} | {len(starts.ranks)} | {model['step']} | {model['weight']}")
    print("same model:", rows[0][3] == rows[1][3])


if __name__ == "__main__":
    main()
