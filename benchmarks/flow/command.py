"""How long `vertex-training run` takes from Enter, as a whole process from the shell, with nothing set.

    python benchmarks/flow/command.py [--runs 5] [--pause 180] [--projects a,b] [--no-docker] [--at-once 10]

Everything is run once before. Then it measures, `--pause` seconds after the last run each time:

- the digits example with everything cached: the first line, the job's start, the end, and the script alone beside it;
- with `--projects`: an edit of projects A and B of benchmarks/images, beside `docker build && docker run` of the same
  project after the same edit. The local run of step 1, which Docker has no counterpart of, is taken out and printed.

Then ten runs at once use the same servers, and at last it prints the memory of the processes that stay. Docker's part
needs what benchmarks/images/README.md lists.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXAMPLE = HERE.parents[1] / "examples" / "digits"
sys.path[:0] = [str(HERE.parent / "images"), str(HERE.parents[1] / "tests")]

import projects  # noqa: E402
from rivals import Docker  # noqa: E402
from rivals import run as succeed  # noqa: E402

PROGRAM = Path(sys.executable).with_name("vertex-training")
VERIFIED = re.compile(r"^verify +([\d.]+) s, ")
"""The line with which step 1 says how long the script ran."""


@dataclass
class Run:
    """One run of the command.

    Attributes:
        total: Seconds from its start to its end.
        marks: Seconds from its start to the first line that begins with each text of `MARKS`.
        verified: Seconds that the script ran in step 1.
    """

    total: float = 0.0
    marks: dict[str, float] = field(default_factory=dict)
    verified: float = 0.0


MARKS = {"first line": "", "job running": "watch    JOB_STATE_RUNNING"}


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="counted runs")
    parser.add_argument("--pause", type=float, default=180.0, help="seconds between two runs")
    parser.add_argument("--projects", default="a,b", help="of a and b; empty for none")
    parser.add_argument("--at-once", type=int, default=10, help="runs at once, on the same servers; 0 for none")
    parser.add_argument("--no-docker", action="store_true", help="leave docker's part out")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="command-benchmark-"))
    for name in [name for name in os.environ if name.startswith("PREFECT_") or name == "PYTHONDONTWRITEBYTECODE"]:
        del os.environ[name]
    os.environ |= {"VERTEX_TRAINING_HOME": str(folder / "home"), "HOME": str(folder)}
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, medians of {options.runs} runs, {options.pause:.0f} s apart\n"
    )
    try:
        cached(folder, options.runs, options.pause)
        for name in filter(None, options.projects.split(",")):
            edited(name, folder, options.runs, options.pause, docker=not options.no_docker)
        if options.at_once:
            at_once(options.at_once)
        memory()
    finally:
        subprocess.run([PROGRAM, "local", "stop", "--yes"], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def cached(folder: Path, runs: int, pause: float) -> None:
    """Measures the digits example with everything cached."""
    words = ["run", str(EXAMPLE), "--", "--epochs", "1"]
    script = [sys.executable, str(EXAMPLE / "train.py"), "--epochs", "1", "--model-dir", str(folder / "model")]
    observed(words)
    seconds(lambda: succeed(*script))
    alone, measured = [], []
    for _ in range(runs):
        time.sleep(pause)
        measured.append(observed(words))
        alone.append(seconds(lambda: succeed(*script)))
    own = statistics.median(alone)
    total = statistics.median(run.total for run in measured)
    rows = [(mark, statistics.median(run.marks[mark] for run in measured)) for mark in MARKS]
    rows += [("end", total), ("the script alone", own), ("end, without the script", total - own)]
    table("digits, everything cached", rows)


def edited(name: str, folder: Path, runs: int, pause: float, *, docker: bool) -> None:
    """Measures a project after an edit of its script, beside docker."""
    project = projects.make(name, folder)
    words = ["run", str(project.folder), "--builder", "direct"]
    rival = Docker(buildkit=True)
    missing = rival.missing() if docker else "--no-docker"
    ours, theirs = [], []
    with _base(missing) as base:
        if base:
            rival.prepare(project, base)
            docker_run(rival, project)
        observed(words)
        for _ in range(runs):
            time.sleep(pause)
            project.edit()
            ours.append(observed(words))
            if base:
                theirs.append(seconds(lambda: docker_run(rival, project)))
    verified = statistics.median(run.verified for run in ours)
    without = statistics.median(run.total - run.verified for run in ours)
    rows = [("vertex-training run, without the local run", without), ("  the script in the local run", verified)]
    if theirs:
        other = statistics.median(theirs)
        rows += [("docker build && docker run", other), ("  ratio", without / other)]
    else:
        rows += [(f"docker build && docker run: left out ({missing})", float("nan"))]
    table(f"project {name.upper()}, after an edit", rows)


@contextmanager
def _base(missing: str) -> Iterator[str]:
    """A base image in a registry of its own, by its name; an empty name where docker's part is left out."""
    if missing:
        yield ""
        return
    from fixtures.images.base_image import base_folder, push_base
    from fixtures.images.registry_server import running_registry

    with tempfile.TemporaryDirectory() as store, running_registry(Path(store), password=False) as server:
        name = push_base(server, base_folder()).name
        succeed("docker", "pull", name)
        yield name


def docker_run(rival: Docker, project: projects.Project) -> None:
    """What a person would type to build and run the project with docker."""
    from rivals import build_arguments

    image = f"command-benchmark-{project.name}"
    words = ["build", "--network", "host", *build_arguments(), "--tag", image, str(project.folder)]
    succeed(rival.docker, *words, env=rival.env)
    succeed(rival.docker, "run", "--rm", "--env", "AIP_MODEL_DIR=/tmp/model", image)


def observed(words: Sequence[str]) -> Run:
    """Runs the command, and takes the time of its lines."""
    run = Run()
    begin = time.perf_counter()
    process = subprocess.Popen([PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = []
    for line in process.stdout or ():
        lines.append(line)
        for mark, text in MARKS.items():
            if line.startswith(text):
                run.marks.setdefault(mark, time.perf_counter() - begin)
        if found := VERIFIED.match(line):
            run.verified = float(found[1])
    if process.wait():
        raise RuntimeError("".join(lines))
    run.total = time.perf_counter() - begin
    return run


def at_once(count: int) -> None:
    """Runs the digits example several times at once."""
    words = [str(PROGRAM), "run", str(EXAMPLE), "--", "--epochs", "1"]
    begin = time.perf_counter()
    running = [
        subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(count)
    ]
    outputs = [process.communicate()[1] for process in running]
    failed = [output for process, output in zip(running, outputs, strict=True) if process.returncode]
    rows = [("runs", float(count)), ("failed", float(len(failed))), ("seconds", time.perf_counter() - begin)]
    table(f"{count} runs of the digits example at once", rows)
    for output in failed:
        print(output[-1000:])


def memory() -> None:
    """Prints the memory of the processes that stay."""
    from prefect_vertex_training.cli.prefect_server import lifecycle as prefect_server
    from prefect_vertex_training.cli.prefect_server.command_text import resident_megabytes
    from prefect_vertex_training.cli.preloaded import preload_lifecycle
    from prefect_vertex_training.core.home import Home
    from prefect_vertex_training.local_vertex import lifecycle as local_vertex

    found = {"Prefect": prefect_server.find(Home.default()), "local_vertex": local_vertex.find(Home.default())}
    rows = [(name, resident_megabytes(server.pid)) for name, server in found.items() if server]
    if process := preload_lifecycle.find(Home.default()):
        rows.append(("Prefect imported for the next run", resident_megabytes(process)))
    table("processes that stay, resident MB", [*rows, ("all", sum(size for _, size in rows))])


def seconds(action: Callable[[], object]) -> float:
    """Wall time of one call."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def table(title: str, rows: Sequence[tuple[str, float]]) -> None:
    """Prints rows of a name and a number."""
    print(title)
    print("".join(f"  {name:44} {value:8.2f}\n" for name, value in rows))


if __name__ == "__main__":
    main()
