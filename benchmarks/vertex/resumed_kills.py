"""Kills, retries, falls back and preempts runs whose script saves checkpoints, and looks for lost ones.

    python benchmarks/vertex/resumed_kills.py [--rounds 20] [--seed 1] [--seconds N]

Each round is a run with a fall-back list of three regions, each with a bucket of its own. They are short of machines,
refuse for quota, keep jobs waiting, lose answers of creates, and take machines back, at random. The run's process is
killed up to three times, and each time the run is taken up by Prefect or retried by a person. At the end one job must
have succeeded, none may run, and each start of the script must have begun where the checkpoints before it ended.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
from pathlib import Path
from uuid import UUID

from fallback_kills import CALM, REGIONS, jobs_of, trouble
from killed_runs import LIVE, Report, killed_run, on_own_server, started
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import lifecycle
from prefect_vertex_training.local_vertex.client import set_faults

STEPS = 25
LISTED = [f"region={region},bucket={region},wait=3s" for region in REGIONS[1:]]
SCRIPT = f"""\
import os, pathlib, time
folder = pathlib.Path(os.environ["VERTEX_TRAINING_CHECKPOINT_DIR"])
folder.mkdir(parents=True, exist_ok=True)
file, new, job = folder / "step", folder / "new", os.environ.get("CLOUD_ML_JOB_ID", "")
step = int(file.read_text()) if file.exists() else 0
def note(word):
    with (folder / "history").open("a") as out:
        out.write(f"{{time.time()}} {{job}} {{word}} {{step}}\\n")
note("start")
while step < ({STEPS} if job else 1):
    time.sleep(0.1 if job else 0)
    step += 1
    new.write_text(str(step))
    new.replace(file)
    note("saved")
model = pathlib.Path(os.environ["VERTEX_TRAINING_MODEL_DIR"])
model.mkdir(parents=True, exist_ok=True)
(model / "model.txt").write_text(str(step))
"""


def project(folder: Path) -> Path:
    """A project whose script goes on from its checkpoint."""
    folder.mkdir(parents=True)
    (folder / "train.py").write_text(SCRIPT)
    (folder / "requirements.txt").write_text("")
    (folder / "pyproject.toml").write_text('[tool.vertex-training]\nattempts = 20\nwait = "3s"\n')
    return folder


def lost_checkpoints(home: Home, run: UUID) -> tuple[list[str], int]:
    """Starts of the script that began before the last checkpoint, and how many starts went on from one."""
    lines = {line for file in home.vertex.rglob(f"{run}/checkpoints/history") for line in file.read_text().splitlines()}
    lost, saved, resumed = [], 0, 0
    for line in sorted(lines, key=lambda line: float(line.split()[0])):
        found = re.fullmatch(r"\S+ (\d+) (start|saved) (\d+)", line)
        if found is None:
            continue
        step = int(found[3])
        if found[2] == "start":
            resumed += step > 0
            lost += [f"{run}: {line} after {saved}"] if step < saved else []
        saved = max(saved, step)
    return [*lost, *([] if saved == STEPS else [f"{run}: it ended at step {saved}"])], resumed


def main() -> int:
    """Prints a line a round and the totals; returns 1 when anything was lost or duplicated."""
    from prefect.client.orchestration import get_client

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no further round after that time")
    options = parser.parse_args()
    moments, report, resumed = random.Random(options.seed), Report(), 0
    lost: list[str] = []
    with on_own_server("resumed-kills-") as (folder, home):
        service = lifecycle.ensure_running(home, regions=REGIONS[1:], faults={"list_lag_seconds": 0.5})
        parameters = {"project": str(project(folder / "resuming")), "fallback": LISTED}
        begin = time.monotonic()
        with started(folder / "flows.log") as starter, get_client(sync_client=True) as client:
            for number in range(options.rounds + 1):  # the first one is calm, to learn how long a process lives
                if time.monotonic() - begin > options.seconds:
                    break
                taken = {"preempt": moments.randint(0, 2), "preempt_after_seconds": moments.uniform(0.3, 2.0)}
                set_faults(service, {**trouble(moments), **taken} if number else {**CALM, "preempt": 0})
                enough = report.kills + 3 if number else 0
                run = killed_run(starter, home, "train", parameters, moments, report, enough, by_person=0.5)
                states = [state for _, state in jobs_of(home, run)]
                report.runs, report.jobs = report.runs + 1, report.jobs + len(states)
                report.not_one += [f"{run} {states}"] if states.count("SUCCEEDED") != 1 else []
                report.still_running += [f"{run} {states}"] if LIVE & set(states) else []
                state = client.read_flow_run(run).state
                report.unfinished += [] if state and state.is_completed() else [f"{run} {state and state.message}"]
                found, starts = lost_checkpoints(home, run)
                lost, resumed = lost + found, resumed + starts
                print(f"{number:3} {report.kills} kills so far, {'+'.join(states)}", *found, sep="  ", flush=True)
        report.seconds = time.monotonic() - begin
        if not report.is_clean or lost:
            print((folder / "flows.log").read_text()[-5000:])
    print(*report.lines(f"{resumed} starts went on from a checkpoint"), sep="\n")
    print(f"lost checkpoints: {len(lost)}", *lost[:10], sep="\n  ")
    return 0 if report.is_clean and not lost else 1


if __name__ == "__main__":
    sys.exit(main())
