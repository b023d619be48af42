"""Measures a talkative training: its lines in Prefect's log, the time after the job's end, the CPU that they take.

    python benchmarks/vertex/lines.py [--lines 100000] [--kill]

Runs `vertex-training run` on a real Prefect server. With `--kill` the process is killed once some lines are there, and
the run is taken up again. Each line must be in Prefect's log once and in order, unless the log says how many are left
out; the process must end within 10 s of its job.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID

from cancel import prefect_server, until
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import lifecycle
from prefect_vertex_training.vertex.client.connection import Connection

SCRIPT = """\
import os, pathlib, sys
folder = pathlib.Path(os.environ["AIP_MODEL_DIR"].replace("gs://", "/gcs/"))
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.txt").write_text("model")
if "CLOUD_ML_JOB_ID" in os.environ:
    sys.stdout.writelines(f"line {number}\\n" for number in range(COUNT))
"""
BAR = 10.0


def main() -> int:
    """Prints a table; 1 when a line is missing, or the process takes too long to end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--kill", action="store_true")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="lines-"))
    home = Home(folder / "home")
    project = folder / "talker"
    project.mkdir()
    (project / "train.py").write_text(SCRIPT.replace("COUNT", str(options.lines)))
    (project / "requirements.txt").write_text("")
    os.environ |= {
        "VERTEX_TRAINING_HOME": str(home.root),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    try:
        with prefect_server(folder):
            return measured(home, project, options.lines, kill=options.kill)
    finally:
        lifecycle.stop(home)
        shutil.rmtree(folder, ignore_errors=True)


def measured(home: Home, project: Path, lines: int, *, kill: bool) -> int:
    """Runs the project, and compares."""
    from prefect.client.orchestration import get_client
    from prefect_vertex_training.tasks.reporting.logged_lines import records_of_run

    terminal = project.parent / "terminal.txt"
    words = [Path(sys.executable).with_name("vertex-training"), "run", project]
    with terminal.open("wb") as output:
        process = subprocess.Popen(words, stdout=output, stderr=output)
        with get_client(sync_client=True) as client:
            run = until(lambda: next((found.id for found in client.read_flow_runs()), None))
        before = 0
        if kill:
            until(lambda: printed(run))
            process.send_signal(signal.SIGKILL)
            process.wait()
            before = len(printed(run))
            process = subprocess.Popen([sys.executable, __file__, "--take-up", str(run)], stdout=output, stderr=output)
        code = process.wait()
    ended = time.time()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    (job,) = Connection.local(home).jobs.list_custom_jobs(parent=Connection.local(home).parent)
    after = ended - job.end_time.timestamp()
    found = printed(run)
    records = list(records_of_run(run))
    left_out = [record.message for record in records if record.name.endswith(".left_out")]
    shown = [line.partition(" ")[2].strip() for line in terminal.read_text().splitlines() if line.startswith("watch ")]
    shown = [line for line in shown if line.startswith("line ")]
    wanted = [f"line {number}" for number in range(lines)]
    whole = found == wanted or bool(left_out)
    print(f"lines {lines:,}, exit code {code}, job's state {job.state.name}" + (f", killed after {before:,}" * kill))
    print(f"in Prefect's log {len(found):,} in {len(records):,} records, in order and once: {found == wanted}")
    print(f"on the terminal {len(shown):,}, in order and once: {shown == wanted}")
    print(f"the process ended {after:.1f} s after its job (bar {BAR:.0f}); CPU {used.ru_utime + used.ru_stime:.1f} s")
    print("local_vertex CPU", f"{service_cpu(home):.1f} s", *left_out)
    return 0 if whole and not code and after <= BAR else 1


def printed(run: UUID) -> list[str]:
    """The script's lines in the run's log."""
    from prefect_vertex_training.tasks.reporting.logged_lines import lines_of_run

    return [line for line in lines_of_run(run) if line.startswith("line ")]


def service_cpu(home: Home) -> float:
    """Seconds of CPU that local_vertex has used."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.with_name("cmdline").read_bytes()
            if b"local_vertex.server" in words and str(home.root).encode() in words:
                fields = stat.read_text().rpartition(")")[2].split()
                return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except OSError:
            continue
    return 0.0


def take_up(run: str) -> int:
    """Executes the run again, as a worker does after its process was lost."""
    from prefect.client.orchestration import get_client
    from prefect.flow_engine import run_flow
    from prefect_vertex_training.cli.output import print_only_steps
    from prefect_vertex_training.flows.train import train

    print_only_steps()
    with get_client(sync_client=True) as client:
        flow_run = client.read_flow_run(UUID(run))
    state = run_flow(train, flow_run=flow_run, parameters=flow_run.parameters, return_type="state")
    return 0 if state is not None and state.is_completed() else 1


if __name__ == "__main__":
    sys.exit(take_up(sys.argv[2]) if sys.argv[1:2] == ["--take-up"] else main())
