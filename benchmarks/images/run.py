"""Builds the same projects in every way that this machine has, and prints medians side by side.

    python benchmarks/images/run.py [--projects a,b,torch] [--runs 5] [--rivals NAMES] [--lines loopback,wan]

See README.md beside this file for what is measured.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "tests")]

import projects  # noqa: E402
import wan  # noqa: E402
from fixtures.base_image import base_folder, push_base  # noqa: E402
from fixtures.registry_server import RegistryServer, running_registry  # noqa: E402
from ours import Ours  # noqa: E402
from rivals import Rival, rivals, whole_process  # noqa: E402

Row = dict[str, float]
_names = itertools.count()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--projects", default="a,b,torch")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--cold-runs", type=int, default=0, help="runs of the cold steps; --runs by default")
    parser.add_argument("--rivals", default="", help="names as in the table, joined by commas; all by default")
    parser.add_argument("--lines", default="loopback,wan")
    options = parser.parse_args()
    os.environ["PREFECT_LOGGING_LEVEL"] = "CRITICAL"
    chosen = [rival for rival in rivals() if not options.rivals or rival.name in options.rivals.split(",")]
    lacks = {rival.name: rival.missing() for rival in chosen}
    for rival, lack in lacks.items():
        if lack:
            print(f"{rival}: left out, this machine lacks {lack}")
    ready = [rival for rival in chosen if not lacks[rival.name]]
    print(f"{platform.machine()}, {os.cpu_count()} cores; medians of {options.runs} runs, seconds\n")
    with tempfile.TemporaryDirectory(prefix="images-benchmark-") as name:
        folder = Path(name)
        with running_registry(folder / "registry", password=False) as server:
            push_base(server, base_folder())
            for line in options.lines.split(","):
                with address(server, line) as host:
                    for project in options.projects.split(","):
                        measure(project, line, host, ready, folder, options.runs, options.cold_runs or options.runs)


@contextmanager
def address(server: RegistryServer, line: str) -> Iterator[str]:
    """The registry's address over that line."""
    with wan.slow_line(server.host) if line == "wan" else nullcontext(server.host) as host:
        yield host


def measure(name: str, line: str, host: str, others: list[Rival], folder: Path, runs: int, cold_runs: int) -> None:
    """One table."""
    work = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder))
    project = projects.make(name, work)
    base = f"{host}/base/python:3.11"
    ours = Ours(work / "home")
    if name == "torch":
        bump(project, ours, host, base, line)
    else:
        table: dict[str, Row] = {}
        for way in (*others, ours):
            way.prepare(project, base)
            try:
                table[way.name] = steps(way, project, host, base, runs, cold_runs)
            except RuntimeError as error:  # its own words, and the others go on
                print(f"{way.name}: failed on this machine: {str(error)[-600:]}\n")
        table["direct layers, whole process"] = processes(project, ours, host, base, runs)
        show(f"project {name.upper()}, {line}", table, ours.name)
    shutil.rmtree(work, ignore_errors=True)


def steps(way: Rival, project: projects.Project, host: str, base: str, runs: int, cold_runs: int) -> Row:
    """The medians of one way."""
    cold, fresh, edits, nothing = [], [], [], []
    image = ""
    for _ in range(cold_runs):
        way.forget(base)
        image = f"{host}/bench/n{next(_names)}:latest"
        cold.append(seconds(lambda image=image: way.build_and_push(project, image)))
        if isinstance(way, Ours):
            way.forget(base)
            project.edit()
            fresh.append(seconds(lambda image=image: way.build_and_push(project, image)))
    nothing.extend(seconds(lambda: way.build_and_push(project, image)) for _ in range(runs))
    for _ in range(runs):
        project.edit()
        time.sleep(2.1)  # a file touched just now is looked at twice; people's edits are older
        edits.append(seconds(lambda: way.build_and_push(project, image)))
    row = {"cold": statistics.median(cold), "edit": statistics.median(edits), "nothing": statistics.median(nothing)}
    if fresh:
        row["fresh machine"] = statistics.median(fresh)
    return row


def processes(project: projects.Project, ours: Ours, host: str, base: str, runs: int) -> Row:
    """Our way as a command of its own: with the interpreter's start and the imports."""
    image = f"{host}/bench/n{next(_names)}:latest"
    command = whole_process(ours.home, project.folder, image, base)
    subprocess.run(command, check=True)
    nothing = [seconds(lambda: subprocess.run(command, check=True)) for _ in range(runs)]
    edits = []
    for _ in range(runs):
        project.edit()
        edits.append(seconds(lambda: subprocess.run(command, check=True)))
    return {"edit": statistics.median(edits), "nothing": statistics.median(nothing)}


def bump(project: projects.Project, ours: Ours, host: str, base: str, line: str) -> None:
    """A small dependency beside torch gets another version: what travels."""
    image = f"{host}/bench/n{next(_names)}:latest"
    try:
        ours.prepare(project, base)
        took = seconds(lambda: ours.build_and_push(project, image))
    except Exception as error:  # noqa: BLE001 - a machine without the wheel says so and goes on
        print(f"torch: left out, {error}")
        return
    whole = ours.sent
    requirements = project.folder / "requirements.txt"
    requirements.write_text(requirements.read_text().replace("joblib==1.5.1", "joblib==1.5.2"))
    ours.prepare(project, base)
    again = seconds(lambda: ours.build_and_push(project, image))
    print(f"torch, {line}: cold {took:.2f} s, {whole / 1e6:.1f} MB sent")
    share = 100 * ours.sent / whole if whole else 0.0
    print(f"torch, {line}: joblib bumped {again:.2f} s, {ours.sent / 1e6:.3f} MB sent ({share:.2f} % of the bytes)\n")


def seconds(action: Callable[[], object]) -> float:
    """Wall time of one call."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def show(title: str, table: dict[str, Row], ours: str) -> None:
    """Seconds, and how many times our time each is."""
    columns = ["cold", "fresh machine", "edit", "nothing"]
    print(f"{title:30}" + "".join(f"{column:>22}" for column in columns))
    for name, row in table.items():
        cells = []
        for column in columns:
            # The others have no way to start warm on a fresh machine: their cold build is what ours stands beside.
            value = row.get(column, row.get("cold") if column == "fresh machine" else None)
            mine = table[ours].get(column)
            ratio = f" ({value / mine:.1f}x)" if value and mine else ""
            cells.append(f"{value:.3f}{ratio}" if value is not None else "")
        print(f"{name:30}" + "".join(f"{cell:>22}" for cell in cells))
    print(flush=True)


if __name__ == "__main__":
    main()
