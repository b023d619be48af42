"""Kills sweeps again and again, with their workers, and local_vertex now and then: counts the jobs that were created.

    python benchmarks/sweeps/kills.py [--kills 15] [--trials 30] [--seed 0] [--engine vertex] [--worker]

Each process that is killed is followed by one that goes on with the sweep: the command with `--continue`, or with
`--worker` another worker that takes up the same run of a deployment. When a sweep has ended the next one begins, until
there were enough kills. At the end every trial has one job, none is live, and the best trial's model holds the
parameters of the score that is reported.
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
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from uuid import UUID

from prefect_vertex_training.cli.prefect_server import lifecycle
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex.endpoint import record_path, store_path
from prefect_vertex_training.local_vertex.store.records import TERMINAL
from prefect_vertex_training.local_vertex.store.store import Store

ROOT = Path(__file__).resolve().parents[2]
PYTHON = [sys.executable, "-m"]
COMMAND = [*PYTHON, "prefect_vertex_training"]
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
trials = {trials}
parallel = 3
engine = "{engine}"
space = {{ lr = {{ log = [1e-3, 1.0] }} }}
"""


@dataclass
class Campaign:
    """What all sweeps share: folders, environment, and how many kills there were.

    Attributes:
        scratch: The folder of everything.
        trials: Trials of a sweep.
        kills: Kills of the process that runs a sweep.
        services: Kills of local_vertex.
    """

    scratch: Path
    trials: int
    kills: int = 0
    services: int = 0
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.project = self.scratch / "victim"
        self.home = Home(self.scratch / "home")
        self.results = self.scratch / "results"
        self.log = (self.scratch / "log").open("a")
        self.environment = {
            **os.environ,
            "HOME": str(self.scratch),
            "VERTEX_TRAINING_HOME": str(self.home.root),
            "PREFECT_LOCAL_STORAGE_PATH": str(self.results),
        }

    def start(self, words: list[str]) -> subprocess.Popen[str]:
        """A process whose group can be killed."""
        return subprocess.Popen(
            words, env=self.environment, cwd=ROOT.parent, text=True, stdout=self.log, stderr=self.log,
            start_new_session=True,
        )  # fmt: skip

    def output(self, words: list[str]) -> str:
        """What a command prints."""
        done = subprocess.run(
            words, env=self.environment, cwd=ROOT.parent, text=True, stdout=subprocess.PIPE, stderr=self.log,
            check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{words}: {done.stdout}\n{(self.scratch / 'log').read_text()[-3000:]}")
        return done.stdout

    def newest_sweep(self) -> str:
        """The id of the newest recorded sweep; empty before the first."""
        try:
            return json.loads(next(self.results.rglob("last-victim.json")).read_text())["value"]
        except (StopIteration, ValueError, OSError):
            return ""

    def jobs(self) -> list[str]:
        """The states of all jobs that were created, by any sweep."""
        if not store_path(self.home).exists():
            return []
        store = Store(store_path(self.home), read_only=True)
        try:
            return [record.state for _, record in store.find("1", (), limit=10_000)]
        finally:
            store.close()


class Runner(Protocol):
    """Runs one sweep, and goes on with it after a kill."""

    def begin(self) -> None:
        """Starts it, or goes on."""
        ...

    def has_ended(self) -> bool:
        """Whether the sweep is over."""
        ...

    def kill(self) -> None:
        """Kills what runs it."""
        ...


class OfCommand:
    """`vertex-training sweep`, then the same with `--continue`."""

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign
        self._before = campaign.newest_sweep()

    def begin(self) -> None:
        """As `Runner.begin`."""
        newest = self._campaign.newest_sweep()
        more = ["--continue", newest] if newest != self._before else []
        words = [*COMMAND, "sweep", str(self._campaign.project), *more]
        self._process = self._campaign.start(words)

    def has_ended(self) -> bool:
        """As `Runner.has_ended`."""
        status = self._process.poll()
        if status:
            raise SystemExit(f"the sweep ended by itself: {(self._campaign.scratch / 'log').read_text()[-3000:]}")
        return status is not None

    def kill(self) -> None:
        """As `Runner.kill`."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class OfWorker:
    """One run of a deployment: each kill ends the worker and the run's process, and a new worker gets the run again."""

    POOL = "kills"

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign
        self._run: UUID | None = None
        server, _ = lifecycle.ensure_running(campaign.home)
        campaign.environment |= server.variables
        os.environ.update(server.variables)
        words = [*COMMAND, "deploy", str(campaign.project), "--sweep", "--name", "victim", "--work-pool", self.POOL]
        with suppress(SystemExit):  # it is there already
            campaign.output([*PYTHON, "prefect", "work-pool", "create", self.POOL, "--type", "process"])
        campaign.output(words)

    def begin(self) -> None:
        """As `Runner.begin`."""
        from prefect.client.orchestration import get_client
        from prefect.states import Scheduled

        with get_client(sync_client=True) as client:
            if self._run is None:
                deployment = client.read_deployment_by_name("sweep/victim")
                self._run = client.create_flow_run_from_deployment(deployment.id).id
            else:
                client.set_flow_run_state(self._run, Scheduled(), force=True)
        words = [*PYTHON, "prefect", "worker", "start", "--pool", self.POOL]
        self._process = self._campaign.start(words)

    def has_ended(self) -> bool:
        """As `Runner.has_ended`; the worker ends with it."""
        from prefect.client.orchestration import get_client

        assert self._run is not None
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(self._run).state
        if state is None or not state.is_final():
            time.sleep(0.5)
            return False
        self.kill()
        return True

    def kill(self) -> None:
        """As `Runner.kill`."""
        for pid in [self._process.pid, *descendants(self._process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()


def descendants(pid: int) -> list[int]:
    """All descendants of a process but local_vertex and its jobs, which outlive it."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if b"local_vertex" not in stat.with_name("cmdline").read_bytes():
                parent = int(stat.read_text().rpartition(")")[2].split()[1])
                parents.setdefault(parent, []).append(int(stat.parent.name))
    found = [pid]
    for process in found:
        found += parents.get(process, [])
    return found[1:]


def killed_to_its_end(campaign: Campaign, runner: Runner, rng: random.Random, most: int) -> None:
    """Runs one sweep to its end, with kills at random moments until there were `most` in all."""
    before = campaign.newest_sweep()
    while True:
        runner.begin()
        known, until = len(campaign.jobs()), time.monotonic() + 120
        wanted = known + rng.randint(0, 2)
        while not runner.has_ended() and time.monotonic() < until:  # into its trials, then at a random moment
            if campaign.kills < most and campaign.newest_sweep() != before and len(campaign.jobs()) >= wanted:
                break
            time.sleep(0.05)
        time.sleep(rng.uniform(0, 2.0) if campaign.kills < most else 0.0)
        if runner.has_ended():
            return
        if rng.random() < 0.3 and record_path(campaign.home).exists():
            with suppress(ProcessLookupError):
                os.kill(json.loads(record_path(campaign.home).read_text())["pid"], signal.SIGKILL)
                campaign.services += 1
            time.sleep(rng.uniform(0, 1.0))
        runner.kill()
        campaign.kills += 1
        print(f"kill {campaign.kills}: {len(campaign.jobs())} jobs so far", flush=True)


def check(campaign: Campaign, earlier: int) -> str:
    """Asks for the sweep's result, which runs nothing again; returns a line about it."""
    sweep = campaign.newest_sweep()
    words = [*COMMAND, "sweep", str(campaign.project), "--continue", sweep, "--json"]
    result = json.loads(campaign.output(words).strip().splitlines()[-1])
    states = campaign.jobs()
    live, made = sum(state not in TERMINAL for state in states), len(states) - earlier
    best = result["best"]
    loaded = json.loads((Path(best["model"]) / "model.json").read_text())["lr"]
    score = 1 - abs(loaded - 0.1)
    done = sum(each["state"] == "completed" for each in result["trials"])
    line = f"{sweep}: {len(result['trials'])} trials, {done} completed, {made} jobs created, {live} live; "
    line += f"best {best['metric']:.4f} reported, {score:.4f} by its model"
    right = made == len(result["trials"]) == done == campaign.trials and not live and abs(score - best["metric"]) < 1e-9
    return line if right else f"WRONG {line}"


def main() -> None:
    """Prints a line a kill, one a sweep, and the totals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=15)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", choices=["own", "vertex"], default="own")
    parser.add_argument("--worker", action="store_true", help="kill workers and the runs that they execute")
    chosen = parser.parse_args()
    rng = random.Random(chosen.seed)
    campaign = Campaign(Path(tempfile.mkdtemp(prefix="sweep-kills-")), chosen.trials)
    campaign.project.mkdir()
    (campaign.project / "train.py").write_text(SCRIPT)
    (campaign.project / "requirements.txt").write_text("")
    settings = SETTINGS.format(trials=chosen.trials, engine=chosen.engine)
    (campaign.project / "pyproject.toml").write_text(settings)
    lines: list[str] = []
    try:
        while campaign.kills < chosen.kills:
            earlier = len(campaign.jobs())
            killed_to_its_end(campaign, (OfWorker if chosen.worker else OfCommand)(campaign), rng, chosen.kills)
            lines.append(check(campaign, earlier))
            print(lines[-1], flush=True)
    finally:
        campaign.output([*COMMAND, "local", "stop", "--yes"])
    what = "the worker" if chosen.worker else "the flow"
    print(f"kills of {what} {campaign.kills}, of local_vertex {campaign.services}; {len(lines)} sweeps")
    print(f"jobs created {len(campaign.jobs())}, trials {len(lines) * chosen.trials}")
    if any(line.startswith("WRONG") for line in lines):
        raise SystemExit("at least one sweep was wrong")


if __name__ == "__main__":
    main()
