"""Kills flow processes, and the worker above them, while a job with a cap on its cost runs; adds up what was spent.

    python benchmarks/vertex/cap_kills.py [--rounds 50] [--trains 10] [--seed 1]

Uses a real Prefect server, a real local_vertex, and a process for each flow run. Time is scaled: an hour costs
3,600 USD, a second 1 USD, and each run may cost 4 USD; its script would go on for minutes. In each round the flow's
process, or that and the one above it, is killed up to three times at random moments. After each kill the run is taken
up again as by Prefect, retried as by a person, or left dead. Some answers of creates are lost, and some jobs are taken
away. When no job runs any more, all jobs of the run together must have cost 4 USD at most, and one poll more (5 s of
the real service, which is 0.25 s at this scale of 20).

`--trains` of the rounds run the whole flow `train`, which is killed at any step; the others step 5 alone.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from killed_runs import HERE, LIVE, Starter, new_run, on_own_server
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import lifecycle
from prefect_vertex_training.local_vertex.client import admin
from prefect_vertex_training.vertex.client.connection import Connection
from prefect_vertex_training.vertex.pricing.cost_labels import cost_labels
from prefect_vertex_training.vertex.pricing.hourly_rate import HourlyRate
from prefect_vertex_training.vertex.submit.spending import billed

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import CustomJob
    from prefect.client.orchestration import SyncPrefectClient

RATE, CAP, POLL = 3600.0, 4.0, 0.25
SCRIPT = "import time; time.sleep(300)"
PROJECT = f"""import os, pathlib
if "CLOUD_ML_JOB_ID" in os.environ:
    {SCRIPT}
folder = pathlib.Path(os.environ["AIP_MODEL_DIR"].replace("gs://", "/gcs/"))
folder.mkdir(parents=True, exist_ok=True)
(folder / "model").write_text("x")  # the local run asks for one
"""
BEFORE_A_JOB = 3.0
"""Seconds in which the whole flow comes to its job, roughly."""


class Round(NamedTuple):
    """One run: what was killed, what followed, its jobs, what they cost together in USD, and its last state."""

    kills: str
    jobs: list[str]
    usd: float
    state: str


class Killed:
    """Runs flows until they are dead or over.

    Args:
        home: Home of local_vertex.
        log: File for the processes' output.
        moments: The random moments.
    """

    def __init__(self, home: Home, log: Path, moments: random.Random) -> None:
        self._home, self._log, self._moments = home, log, moments
        self._starter = Starter(log)

    def round(self, name: str, parameters: dict[str, Any]) -> Round:
        """One run of a flow with its kills."""
        from prefect.client.orchestration import get_client

        kills: list[str] = []
        with get_client(sync_client=True) as client:
            run = new_run(client, name, parameters)
            for left in range(self._moments.randint(1, 3), -1, -1):
                if self._moments.random() < 0.2:
                    admin(lifecycle.ensure_running(self._home), "Switches", {"create_lost": 1})
                if self._moments.random() < 0.2:
                    admin(lifecycle.ensure_running(self._home), "Switches", {"preempt": 1})
                killed = self._execute(run, kill=left > 0, before=BEFORE_A_JOB if name == "train" else 0.0)
                kills += [killed] if killed else []
                if not killed or not self._goes_on(client, run, kills):
                    break
        return self._spent(run, kills)

    def stop(self) -> None:
        """Ends the process above the flows."""
        self._starter.stop()

    def _execute(self, run: UUID, *, kill: bool, before: float) -> str:
        """Executes the run once; returns what was killed, if anything was.

        Args:
            run: The run.
            kill: Whether to kill it.
            before: Seconds of the flow before its job.
        """
        pid = self._starter.start(run)
        if not kill:
            self._starter.wait_for("end")
            return ""
        if self._moments.random() < (0.5 if before else 0.8):  # most kills hit a job; others come at any moment before
            self._await_job(run)
            before = 0.0
        time.sleep(self._moments.uniform(0.0, before or 1.2 * CAP))
        with_worker = self._moments.random() < 0.4
        if with_worker:
            os.kill(self._starter.pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        if with_worker:
            with suppress(OSError, ValueError):
                self._starter.stop()
            self._starter = Starter(self._log)
            return "flow and worker"
        return "flow" if int(self._starter.wait_for("end")) == -signal.SIGKILL else ""

    def _await_job(self, run: UUID) -> None:
        """Waits until the run has a job that lives, for half a minute at most."""
        end = time.monotonic() + 30
        while time.monotonic() < end and all(billed(job).ended for job in self._jobs(run)):
            time.sleep(0.05)

    def _jobs(self, run: UUID) -> list[CustomJob]:
        connection = Connection.local(self._home)
        wanted = {"parent": connection.parent, "filter": f'labels.prefect_flow_run="{run}"'}
        return list(connection.jobs.list_custom_jobs(wanted, timeout=30))

    def _goes_on(self, client: SyncPrefectClient, run: UUID, kills: list[str]) -> bool:
        from prefect.states import AwaitingRetry, Crashed, Scheduled

        how = self._moments.choice(("retried by Prefect", "retried by a person", "left dead"))
        kills[-1] += f", {how}"
        if how == "left dead":
            return False
        if how == "retried by a person":
            client.set_flow_run_state(run, Crashed(), force=True)
            client.set_flow_run_state(run, Scheduled(), force=True)
        else:
            client.set_flow_run_state(run, AwaitingRetry(), force=True)
        return True

    def _spent(self, run: UUID, kills: list[str]) -> Round:
        from prefect.client.orchestration import get_client

        end = time.monotonic() + 60
        while not all(billed(job).ended for job in self._jobs(run)) and time.monotonic() < end:
            time.sleep(0.2)
        jobs = self._jobs(run)
        states = [job.state.name.removeprefix("JOB_STATE_") for job in jobs]
        usd = sum(billed(job).cost(time.time()) or 0.0 for job in jobs)
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(run).state
        return Round("; ".join(kills) or "none", states, usd, str(state and state.name))


def project(folder: Path) -> Path:
    """A project whose jobs have a price and a cap, as those in the cloud have."""
    folder.mkdir()
    (folder / "train.py").write_text(PROJECT)
    labels = ", ".join(f'"{name}" = "{text}"' for name, text in cost_labels(HourlyRate(RATE, (), "x"), CAP).items())
    (folder / "pyproject.toml").write_text(f"[tool.vertex-training]\nattempts = 3\nlabels = {{ {labels} }}\n")
    return folder


def main() -> int:
    """Prints a table of the rounds; returns 1 when a run cost more than its cap and one poll."""
    sys.path.insert(0, str(HERE.parent / "local_vertex"))
    from images import tiny_image

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--trains", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rounds: list[Round] = []
    with on_own_server("cap-") as (folder, home):
        image = tiny_image(home, folder / "image")
        flows = [("train", {"project": str(project(folder / "tiny"))})] * options.trains
        step = ("capped", {"image": image, "script": SCRIPT, "rate": RATE, "cap": CAP})
        flows += [step] * (options.rounds - options.trains)
        killed = Killed(home, folder / "flows.log", random.Random(options.seed))
        for number, (name, parameters) in enumerate(flows, 1):
            rounds.append(killed.round(name, parameters))
            one = rounds[-1]
            print(
                f"{number:3} {one.usd:6.2f} USD  {'+'.join(one.jobs):<30} {one.state:<12} {name}: {one.kills}",
                flush=True,
            )
        killed.stop()
    over = [one for one in rounds if one.usd > CAP + POLL]
    alive = [one for one in rounds if LIVE & set(one.jobs)]
    count = sum(one.kills.count("flow") for one in rounds)
    highest = max(one.usd for one in rounds)
    print(f"{len(rounds)} runs, {count} kills, {sum(len(one.jobs) for one in rounds)} jobs, cap {CAP:.2f} USD")
    print(f"highest cost {highest:.2f} USD; over the cap and a poll: {len(over)}; jobs that still run: {len(alive)}")
    return 1 if over or alive else 0


if __name__ == "__main__":
    sys.exit(main())
