"""Damages one random file after another and runs again; prints each that wasn't made good, and a table.

    python benchmarks/images/damage.py [--count 500] [--first 1000] [--seconds N] [--verbose]

A damage flips a bit of a file, cuts, empties or deletes it, or swaps its content with that of another.
The files are all below the home (caches, layers, the image layout, environments, unpacked images, the store of jobs)
and the registry's blobs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "tests")]

from fixtures.images.base_kinds import PYTHON, Kind, store, tar  # noqa: E402
from fixtures.images.damage import KINDS, Campaign  # noqa: E402
from fixtures.images.direct_build import _make_wheel as make_wheel  # noqa: E402
from fixtures.images.registry_server import running_registry  # noqa: E402
from prefect_vertex_training.images.oci.reference import Reference  # noqa: E402
from prefect_vertex_training.images.registry.repository import Repository  # noqa: E402


def main() -> int:
    """Runs the campaign; 1 if a damage was not made good."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--first", type=int, default=1000, help="the first seed")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no further trial after that time")
    parser.add_argument("--verbose", action="store_true", help="print every damage")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="damage-") as name:
        folder = Path(name)
        wheels = [
            make_wheel(folder / "wheels", {"big/__init__.py": b"X = 1\n", "big/data.bin": bytes(range(256)) * 1200},
                       name="big"),
            make_wheel(folder / "wheels", {"small.py": b"X = 2\n"}, name="small"),
        ]  # fmt: skip
        with running_registry(folder / "registry", password=False) as registry:
            store(Repository(Reference(registry.host, "base/python")), Kind([tar({"usr/bin/python3.11": PYTHON})]))
            campaign = Campaign(folder / "work", registry, f"{registry.host}/base/python:v1", wheels)
            campaign.start()
            begin = time.monotonic()
            for seed in range(options.first, options.first + options.count):
                if time.monotonic() - begin > options.seconds:
                    break
                trial = campaign.trial(seed)
                if trial.failed or options.verbose:
                    print(f"seed {seed}: {trial.kind} {trial.path}\n  {trial.outcome}: {trial.detail}", flush=True)
    print(f"seeds {options.first} to {options.first + len(campaign.trials) - 1}")
    outcomes = Counter((trial.kind, trial.outcome) for trial in campaign.trials)
    names = sorted({trial.outcome for trial in campaign.trials})
    print("| damage |", " | ".join(names), "|")
    print("|---|", "---:|" * len(names), sep="")
    for kind in KINDS:
        print(f"| {kind} |", " | ".join(str(outcomes[kind, name]) for name in names), "|")
    return int(any(trial.failed for trial in campaign.trials))


if __name__ == "__main__":
    sys.exit(main())
