"""Kills a sweep again and again, and local_vertex now and then: counts the jobs that were created.

    python benchmarks/sweeps/kills.py [--kills 15] [--trials 30] [--seed 0] [--engine vertex]

Each process that is killed is followed by one that goes on with the sweep. At the end every trial has one job, none is
live, and the best trial's model holds the parameters of the score that is reported.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex.endpoint import record_path, store_path
from prefect_vertex_training.local_vertex.store.records import TERMINAL
from prefect_vertex_training.local_vertex.store.store import Store

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """\
import argparse, json, os, pathlib, time
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.5)
options = parser.parse_args()
for step in (1, 2, 3):
    time.sleep(0.3)
    print(json.dumps({"step": step, "score": 1 - abs(options.lr - 0.1)}), flush=True)
folder = pathlib.Path(os.environ["AIP_MODEL_DIR"].replace("gs://", "/gcs/"))
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.json").write_text(json.dumps({"lr": options.lr}))
"""
SETTINGS = """\
[tool.vertex-training.sweep]
metric = "score"
goal = "max"
prune = "off"
space = { lr = { log = [1e-3, 1.0] } }
"""


def jobs(home: Home) -> list[str]:
    """The states of all jobs that were created."""
    store = Store(store_path(home), read_only=True)
    try:
        return [record.state for _, record in store.find("1", (), limit=10_000)]
    finally:
        store.close()


def newest_sweep(results: Path) -> str:
    """The id of the sweep, once it is recorded; else empty."""
    found = list(results.rglob("last-victim.json"))
    try:
        return json.loads(found[0].read_text())["value"] if found else ""
    except (ValueError, OSError):
        return ""


def main() -> None:  # noqa: PLR0915 - one campaign from begin to end
    """Prints a line a kill, and the totals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=15)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", choices=["own", "vertex"], default="own")
    chosen = parser.parse_args()
    rng = random.Random(chosen.seed)
    scratch = Path(tempfile.mkdtemp(prefix="sweep-kills-"))
    project = scratch / "victim"
    project.mkdir()
    (project / "train.py").write_text(SCRIPT)
    (project / "requirements.txt").write_text("")
    (project / "pyproject.toml").write_text(SETTINGS)
    home = Home(scratch / "home")
    environment = {
        **os.environ,
        "HOME": str(scratch),
        "VERTEX_TRAINING_HOME": str(home.root),
        "PREFECT_LOCAL_STORAGE_PATH": str(scratch / "results"),
    }
    command = [sys.executable, "-m", "prefect_vertex_training"]
    words = [*command, "sweep", str(project), "--trials", str(chosen.trials), "--parallel", "3", "--json"]
    words += ["--engine", chosen.engine]

    def begin() -> subprocess.Popen[str]:
        earlier = newest_sweep(scratch / "results")
        more = ["--continue", earlier] if earlier else []
        return subprocess.Popen(
            [*words, *more], env=environment, cwd=ROOT.parent, text=True, stdout=subprocess.PIPE,
            stderr=(scratch / "log").open("a"), start_new_session=True,
        )  # fmt: skip

    kills = services = 0
    while kills < chosen.kills:
        running = begin()
        known = len(jobs(home)) if store_path(home).exists() else 0
        until = time.monotonic() + 120
        wanted = known + rng.randint(0, 2)
        while running.poll() is None and time.monotonic() < until:  # into its trials, then at a random moment
            if newest_sweep(scratch / "results") and store_path(home).exists() and len(jobs(home)) >= wanted:
                break
            time.sleep(0.05)
        time.sleep(rng.uniform(0, 2.0))
        if running.poll() is not None:
            break
        if rng.random() < 0.3 and record_path(home).exists():
            os.kill(json.loads(record_path(home).read_text())["pid"], signal.SIGKILL)
            services += 1
            time.sleep(rng.uniform(0, 1.0))
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        kills += 1
        print(f"kill {kills}: {len(jobs(home))} jobs so far", flush=True)
    running = begin()
    output, _ = running.communicate()
    if running.returncode:
        raise SystemExit((scratch / "log").read_text()[-3000:])
    result = json.loads(output.strip().splitlines()[-1])
    states = jobs(home)
    live = sum(state not in TERMINAL for state in states)
    best = result["best"]
    loaded = json.loads((Path(best["model"]) / "model.json").read_text())["lr"]
    subprocess.run([*command, "local", "stop"], env=environment, cwd=ROOT.parent, check=False, capture_output=True)
    print(f"kills of the flow {kills}, of local_vertex {services}")
    print(f"trials {len(result['trials'])}, completed {sum(each['state'] == 'completed' for each in result['trials'])}")
    print(f"jobs created {len(states)}, live {live}")
    print(f"best {best['metric']:.4f} reported, {1 - abs(loaded - 0.1):.4f} by its model")


if __name__ == "__main__":
    main()
