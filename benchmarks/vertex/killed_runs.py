"""What campaigns of kills share: flow runs as processes, their kills and retries, and what is counted at the end."""

from __future__ import annotations

import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import lifecycle
from prefect_vertex_training.vertex.client.connection import Connection

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

HERE = Path(__file__).resolve().parent
PROGRAM = [sys.executable, str(HERE / "killed_flow.py")]
"""The command that executes runs; the tests fork it from a process that has imported what it needs."""
LINES = 60
SCRIPT = f"""
import sys, time
for number in range({LINES}):
    print("line", number, flush=True)
    time.sleep(float(sys.argv[1]) / {LINES})
"""
TRAIN = f"""
import os, pathlib
folder = pathlib.Path(os.environ.get("AIP_MODEL_DIR", "out").replace("gs://", "/gcs/"))
folder.mkdir(parents=True, exist_ok=True)
if "CLOUD_ML_JOB_ID" in os.environ:
    {SCRIPT.strip().replace("float(sys.argv[1])", "1.5").replace(chr(10), chr(10) + "    ")}
(folder / "model.txt").write_text("model")
"""


LIVE = {"QUEUED", "PENDING", "RUNNING", "CANCELLING"}
"""States of a job that costs."""


@contextmanager
def on_own_server(prefix: str) -> Iterator[tuple[Path, Home]]:
    """A folder and a home of local_vertex for the `with` block, with a Prefect server that ends with it.

    Args:
        prefix: Begin of the folder's name.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    home = Home(folder / "home")
    os.environ |= {
        "VERTEX_TRAINING_HOME": str(home.root),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "INFO",
    }
    from prefect import settings
    from prefect.testing.utilities import prefect_test_harness

    try:
        with prefect_test_harness(server_startup_timeout=240):
            os.environ["PREFECT_API_URL"] = str(settings.PREFECT_API_URL.value())
            yield folder, home
    finally:
        lifecycle.stop(home)
        shutil.rmtree(folder, ignore_errors=True)


def new_run(client: SyncPrefectClient, flow: str, parameters: dict[str, Any]) -> UUID:
    """A run of a flow that nothing executes yet."""
    body = {
        "flow_id": str(client.create_flow_from_name(flow)),
        "parameters": parameters,
        "state": {"type": "PENDING"},
    }
    return UUID(client.request("POST", "/flow_runs/", json=body).json()["id"])


@dataclass
class Report:
    """Result of a campaign; every list is empty when nothing went wrong."""

    kills: int = 0
    runs: int = 0
    jobs: int = 0
    seconds: float = 0.0
    not_one: list[str] = field(default_factory=list)
    still_running: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    wrong_lines: list[str] = field(default_factory=list)
    moments: dict[str, int] = field(default_factory=dict)
    lasted: list[float] = field(default_factory=list)

    @property
    def length(self) -> float:
        """Median lifetime in seconds of the last five processes that were not killed; the machine's speed drifts."""
        return statistics.median(self.lasted[-5:])

    @property
    def is_clean(self) -> bool:
        """Whether each run had one job, each line was logged once, and nothing was left running."""
        return not (self.not_one or self.still_running or self.unfinished or self.wrong_lines)

    def lines(self, first: str) -> Iterator[str]:
        """The report for people, below a first line."""
        yield f"{self.kills} kills, {self.runs} runs, {self.jobs} jobs, {self.seconds:.0f} s; {first}"
        yield f"killed when the run's jobs were: {self.moments}"
        for name in ("not_one", "still_running", "unfinished", "wrong_lines"):
            found = getattr(self, name)
            yield "\n  ".join([f"{name + ':':<15}{len(found)}", *found[:10]])


class Starter:
    """Starts flow processes, one at a time."""

    def __init__(self, log: Path) -> None:
        self._log = log.open("ab")
        self._process = subprocess.Popen(
            PROGRAM,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self.wait_for("ready")

    @property
    def pid(self) -> int:
        """The program's process id."""
        return self._process.pid

    def start(self, run: UUID) -> int:
        """Starts a flow run; returns its process id when the flow begins."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{run}\n")
        self._process.stdin.flush()
        pid = int(self.wait_for("pid"))
        self.wait_for("begin")
        return pid

    def wait_for(self, word: str) -> str:
        """Reads the next line, which must begin with `word`; returns the rest of it."""
        assert self._process.stdout is not None
        said, _, rest = self._process.stdout.readline().strip().partition(" ")
        if said != word:
            raise RuntimeError(f"{word} was expected, not {said!r}: see {self._log.name}")
        return rest

    def stop(self) -> None:
        """Ends the program."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._log.close()


@contextmanager
def started(log: Path) -> Iterator[Starter]:
    """Runs a starter for the `with` block."""
    starter = Starter(log)
    try:
        yield starter
    finally:
        starter.stop()


def killed_run(
    starter: Starter,
    home: Home,
    name: str,
    parameters: dict[str, Any],
    moments: random.Random,
    report: Report,
    enough: int,
    *,
    by_person: float = 0.0,
) -> UUID:
    """Executes one run, killed up to three times, until its process ends by itself.

    Args:
        starter: Starts its processes.
        home: Home of local_vertex.
        name: The flow's name.
        parameters: The flow's parameters.
        moments: The random moments.
        report: Gets the kills.
        enough: How many kills there may be in all.
        by_person: How often of 1 a person retries the run after a kill, in place of Prefect.
    """
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        run = new_run(client, name, parameters)
        planned = min(moments.randint(1, 3), enough - report.kills)
        while True:
            pid, began = starter.start(run), time.monotonic()
            if planned:
                time.sleep(moments.uniform(0.0, 1.1 * report.length))
                moment = ", ".join(sorted(states(home, run))) or "no job yet"
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if int(starter.wait_for("end")) != -signal.SIGKILL:
                report.lasted.append(time.monotonic() - began)
                return run
            planned -= 1
            report.kills += 1
            report.moments[moment] = report.moments.get(moment, 0) + 1
            _take_up(client, run, by_person=moments.random() < by_person)


def _take_up(client: SyncPrefectClient, run: UUID, *, by_person: bool) -> None:
    """What follows the loss of a run's process: Prefect's own retry, or that of a person."""
    from prefect.states import AwaitingRetry, Crashed, Scheduled

    if by_person:
        client.set_flow_run_state(run, Crashed(), force=True)
    client.set_flow_run_state(run, Scheduled() if by_person else AwaitingRetry(), force=True)


def check_run(run: UUID, found: Sequence[str], report: Report) -> None:
    """Counts the run's jobs and lines.

    Args:
        run: The run, which has ended.
        found: The states of its jobs, without their common prefix.
        report: Gets what is wrong.
    """
    from prefect.client.orchestration import get_client
    from prefect_vertex_training.tasks.reporting.logged_lines import lines_of_run

    report.jobs += len(found)
    if list(found).count("SUCCEEDED") != 1:
        report.not_one.append(f"{run} {found}")
    if LIVE & set(found):
        report.still_running.append(f"{run} {found}")
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(run).state
    if state is None or not state.is_completed():
        report.unfinished.append(f"{run} {state and state.name} {state and state.message}")
    printed = [line for line in lines_of_run(run) if line.startswith("line ")]
    if printed != [f"line {number}" for number in range(LINES)]:
        report.wrong_lines.append(f"{run} {len(printed)} lines")


def states(home: Home, run: UUID) -> list[str]:
    """The states of the run's jobs, without their common prefix."""
    connection = Connection.local(home)
    jobs = connection.jobs.list_custom_jobs(
        {"parent": connection.parent, "filter": f'labels.prefect_flow_run="{run}"'}, timeout=30
    )
    return [job.state.name.removeprefix("JOB_STATE_") for job in jobs]


def project(folder: Path) -> Path:
    """Creates a project whose job prints its lines and saves a model."""
    folder.mkdir(parents=True)
    (folder / "train.py").write_text(TRAIN)
    (folder / "requirements.txt").write_text("")
    return folder
