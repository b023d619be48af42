"""How long `vertex-training check` takes, as a whole process, where each answer of Google's APIs takes 100 ms.

    python benchmarks/vertex/check.py [--runs 5] [--delay 0.1] [--preloaded]

The APIs are those of local_vertex, in the environment of `vertex-training local exec`; the Prefect server is the kept
one. It prints the seconds of the whole command, those of `check` without a project, and how the seconds divide.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import lifecycle
from prefect_vertex_training.local_vertex.client import admin

PROGRAM = Path(sys.executable).with_name("vertex-training")
PROJECT, REGION = "my-project-123", "us-central1"
BAR = 3.0
BLOCKS = f"""
from prefect_vertex_training.blocks.registry import ContainerRegistry
from prefect_vertex_training.blocks.vertex_ai import VertexAI
ContainerRegistry(host="{REGION}-docker.pkg.dev", project="{PROJECT}", repository="training").save("c", overwrite=True)
VertexAI(project="{PROJECT}", region="{REGION}", bucket="BUCKET").save("c", overwrite=True)
"""
TIMED = """
import sys, time
last = time.perf_counter(), 0.0
def lap(name):
    global last
    now = time.perf_counter(), time.process_time()
    print(f"{name:<40} {now[0] - last[0]:6.2f} s, of the processor {now[1] - last[1]:6.2f} s", flush=True)
    last = now
from prefect_vertex_training.cli.light_imports import lighten_imports
lighten_imports()
from prefect_vertex_training.cli.commands import check
lap("imports of the command line")
import prefect.settings
lap("imports of Prefect")
from prefect_vertex_training.blocks.vertex_ai import VertexAI
from prefect_vertex_training.tasks.preflight import ProjectAccess
from prefect_vertex_training.vertex.preflight.preflight import JOB_CHECKS, PLACE_CHECKS, begin as begun
lap("imports of the blocks and the checks")
from prefect_vertex_training.flows.planning.training_plan import plan_training
lap("imports of the plan")
from prefect_vertex_training.cli.load_blocks import load_registry, load_vertex
with check.prefect_session():
    lap("the kept Prefect server")
    vertex, registry = load_vertex("c"), load_registry("c")
    lap("load of two blocks")
    access = ProjectAccess(vertex, registry, None)
    api = access.api()
    lap("Google login")
    from pathlib import Path
    of_place = begun(PLACE_CHECKS, access.subject, api)
    job = check._planned(Path(sys.argv[1]), vertex)
    lap("the plan, beside the first calls")
    access = ProjectAccess(vertex, registry, job.job)
    of_place()
    lap("the rest of the first calls")
    begun(JOB_CHECKS, access.subject, api)()
    lap("the calls about the job")
lap("end of the session")
"""


def main() -> int:
    """Prints the seconds; 1 when the median of a check with a project is above the bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--delay", type=float, default=0.1, help="seconds that each answer takes")
    parser.add_argument("--preloaded", action="store_true", help="let the first check leave a process for the next")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="check-"))
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        del os.environ[name]
    os.environ |= {"VERTEX_TRAINING_HOME": str(folder / "home"), "HOME": str(folder)}
    if not options.preloaded:
        os.environ["VERTEX_TRAINING_PRELOAD"] = "off"
    home = Home(folder / "home")
    project = folder / "tiny"
    project.mkdir()
    (project / "train.py").write_text("")
    try:
        in_cloud = [PROGRAM, "local", "exec", "--project", PROJECT, "--region", REGION, "--"]
        subprocess.run([*in_cloud, "true"], check=True)
        service = lifecycle.ensure_running(home)
        admin(service, "Switches", {"api_delay_seconds": options.delay})
        subprocess.run([PROGRAM, "orphans"], check=True, capture_output=True)  # starts the kept server
        found = subprocess.run([PROGRAM, "local", "prefect-env"], check=True, capture_output=True, text=True).stdout
        script = BLOCKS.replace("BUCKET", service.bucket)
        subprocess.run(["sh", "-c", f'eval "$0"; exec {sys.executable} -c "$1"', found, script], check=True)
        rows = {
            "with a project": [*in_cloud, PROGRAM, "check", project, "--vertex", "c", "--registry", "c"],
            "the blocks alone": [*in_cloud, PROGRAM, "check", "--vertex", "c", "--registry", "c"],
        }
        medians = {name: measured(words, options.runs) for name, words in rows.items()}
        parts = divided([*in_cloud, sys.executable, "-c", TIMED, str(project)])
    finally:
        subprocess.run([PROGRAM, "local", "stop", "--yes"], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)
    for name, (seconds, cpu) in medians.items():
        print(f"check, {name:<33} {seconds:6.2f} s, of the processor {cpu:6.2f} s")
    print("\n".join(parts))
    return 1 if medians["with a project"][0] > BAR else 0


def divided(words: list[str | Path]) -> list[str]:
    """How the seconds of a check divide, line by line; the first of two runs isn't counted."""
    subprocess.run(words, capture_output=True, check=True)
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if line.endswith(" s")]


def measured(words: list[str | Path], runs: int) -> tuple[float, float]:
    """The medians of the seconds that a command takes, and of those of the processor, its child processes included.

    The first run isn't counted, and its end is printed.
    """
    first = subprocess.run(words, capture_output=True, text=True, check=False)
    print("\n".join([*first.stdout.splitlines()[-3:], *first.stderr.splitlines()[-3:]]))
    times: list[tuple[float, float]] = []
    for _ in range(runs):
        begin = time.perf_counter(), _of_children()
        subprocess.run(words, capture_output=True, check=False)
        times.append((time.perf_counter() - begin[0], _of_children() - begin[1]))
    return statistics.median(wall for wall, _ in times), statistics.median(cpu for _, cpu in times)


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
