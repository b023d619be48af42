"""Builds the same projects with every tool of this machine, and prints medians side by side.

    python benchmarks/images/run.py [--projects a,b,torch] [--lines loopback,wan] [--rivals NAMES] [--steps STEPS]
                                    [--runs 5] [--cold-runs 1] [--pause SECONDS] [--wheels FOLDER] [--save FILE]
    python benchmarks/images/run.py --show FILE

README.md in this folder says what is measured.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "tests")]

import projects  # noqa: E402
import tables  # noqa: E402
import wan  # noqa: E402
from fixtures.images.base_image import base_folder, push_base  # noqa: E402
from fixtures.images.registry_server import running_registry  # noqa: E402
from fixtures.suite.ports import free_port  # noqa: E402
from ours import Ours  # noqa: E402
from rivals import Rival, rivals, whole_process  # noqa: E402

STEPS = ("cold", "fresh machine", "edit", "nothing", "process")
_names = itertools.count()


@dataclass(frozen=True, slots=True)
class Plan:
    """The measurements to take.

    Attributes:
        others: The other tools.
        steps: Some of STEPS.
        runs: How often an edit and an unchanged build are timed.
        cold_runs: How often the cold steps are timed.
        pause: Seconds between an edit and its build.
        wheels: The address of a page with wheels for torch's project; empty without one.
    """

    others: Sequence[Rival]
    steps: frozenset[str]
    runs: int
    cold_runs: int
    pause: float
    wheels: str


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--projects", default="a,b,torch")
    parser.add_argument("--lines", default="loopback,wan")
    parser.add_argument("--rivals", default=None, help="names as in the table, joined by commas; all by default")
    parser.add_argument("--steps", default=",".join(STEPS), help="what is timed")
    parser.add_argument("--runs", type=int, default=5, help="of an edit and of nothing")
    parser.add_argument("--cold-runs", type=int, default=1, help="of the cold steps")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between an edit and its build")
    parser.add_argument("--wheels", type=Path, help="folder with torch's CPU wheel; without it only ours builds torch")
    parser.add_argument("--save", type=Path, help="add what was measured to this file")
    parser.add_argument("--show", type=Path, help="print the tables of what was saved, and end")
    options = parser.parse_args()
    if options.show:
        tables.show(tables.load(options.show), Ours.name)
        return
    os.environ["PREFECT_LOGGING_LEVEL"] = "CRITICAL"
    print(f"{platform.machine()}, {os.cpu_count()} cores; seconds\n")
    others, wanted = available(options.rivals), frozenset(options.steps.split(","))
    with tempfile.TemporaryDirectory(prefix="images-benchmark-") as name, served_wheels(options.wheels) as wheels:
        folder = Path(name)
        plan = Plan(others, wanted, options.runs, options.cold_runs, options.pause, wheels)
        with running_registry(folder / "registry", password=False) as server:
            push_base(server, base_folder())
            for line in options.lines.split(","):
                with wan.slow_line(server.host) if line == "wan" else nullcontext(wan.Line(server.host)) as way:
                    for project in options.projects.split(","):
                        piece = tables.Piece(project, line)
                        measure(piece, way, plan, folder)
                        tables.show([piece], Ours.name)
                        if options.save:
                            tables.save(options.save, piece)


@contextmanager
def served_wheels(folder: Path | None) -> Iterator[str]:
    """Serves the folder's files to builds, which can't see this machine's folders; yields the page's address."""
    if folder is None:
        yield ""
        return
    port = str(free_port())
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder), port]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.kill()
        server.wait()


def available(names: str | None) -> list[Rival]:
    """The named tools that this machine has; missing ones are printed."""
    chosen = [rival for rival in rivals() if names is None or rival.name in names.split(",")]
    lacks = {rival.name: rival.missing() for rival in chosen}
    for rival, lack in lacks.items():
        if lack:
            print(f"{rival}: left out, this machine lacks {lack}")
    return [rival for rival in chosen if not lacks[rival.name]]


def measure(piece: tables.Piece, line: wan.Line, plan: Plan, folder: Path) -> None:
    """Fills one table."""
    work = Path(tempfile.mkdtemp(prefix=f"{piece.project}-", dir=folder))
    project = projects.make(piece.project, work, plan.wheels)
    base = f"{line.host}/base/python:3.11"
    ours = Ours(work / "home")
    if piece.project != "torch" or plan.wheels:  # the index has CUDA's wheels, of several GB for each cold build
        take_turns(piece, (*plan.others, ours), project, line, base, plan)
        if "process" in plan.steps:
            piece.rows[f"{ours.name}, a process of its own"] = processes(project, ours, line.host, base, plan)
    if piece.project == "torch":
        bump(project, ours, line.host, base, piece.line)
    shutil.rmtree(work, ignore_errors=True)


def take_turns(
    piece: tables.Piece, ways: Sequence[Rival], project: projects.Project, line: wan.Line, base: str, plan: Plan
) -> None:
    """Cold builds in rounds, because a machine's speed drifts within minutes; warm builds one tool after another."""
    going = list(ways)

    def turn(way: Rival, measure: Callable[[tables.Row], None]) -> None:
        if way not in going:
            return
        try:
            way.prepare(project, base)
            measure(piece.rows.setdefault(way.name, {}))
        except RuntimeError as error:  # its own message; the others continue
            going.remove(way)
            piece.rows.pop(way.name, None)
            print(f"{way.name}: failed on this machine: {str(error)[-600:]}\n")

    for _ in range(plan.cold_runs if plan.steps & {"cold", "fresh machine"} else 0):
        for way in ways:
            turn(way, partial(cold, way, project, line, base, plan.steps))
    for way in ways if plan.steps & {"edit", "nothing"} else ():
        turn(way, partial(warm, way, project, line, plan))


def cold(
    way: Rival, project: projects.Project, line: wan.Line, base: str, wanted: frozenset[str], row: tables.Row
) -> None:
    """Times a build without caches, and counts the bytes that it sends; then our build on a fresh machine."""
    image = new_image(line.host)
    way.forget(base)
    settle()
    before = line.sent
    took = seconds(lambda: way.build_and_push(project, image))
    if "cold" in wanted:
        row.setdefault("cold", []).append(took)
        if line.sent > before:
            row.setdefault("sent", []).append(line.sent - before)
    if isinstance(way, Ours) and "fresh machine" in wanted:
        way.forget(base)
        project.edit()
        row.setdefault("fresh machine", []).append(seconds(lambda: way.build_and_push(project, image)))


def warm(way: Rival, project: projects.Project, line: wan.Line, plan: Plan, row: tables.Row) -> None:
    """Times builds of a project that was built before, unchanged and with a changed line."""
    image = new_image(line.host)
    way.build_and_push(project, image)  # afterwards the image exists, whatever was measured before
    if "nothing" in plan.steps:
        row["nothing"] = [seconds(lambda: way.build_and_push(project, image)) for _ in range(plan.runs)]
    for _ in range(plan.runs if "edit" in plan.steps else 0):
        project.edit()
        time.sleep(plan.pause)
        row.setdefault("edit", []).append(seconds(lambda: way.build_and_push(project, image)))


def settle() -> None:
    """Removes effects of the build before: bytes that aren't written yet, and fragmented memory.

    After an hour of builds Linux finds few large pieces any more. Three runs one after the other, without joining, with
    it and without: ours took 2.9, 2.3 and 2.2 s, BuildKit with uv 14.7, 13.4 and 12.3.
    """
    os.sync()
    with suppress(OSError):  # not root, or not Linux
        Path("/proc/sys/vm/compact_memory").write_text("1")


def new_image(host: str) -> str:
    """A name in a repository that wasn't used before."""
    return f"{host}/bench/n{next(_names)}:latest"


def processes(project: projects.Project, ours: Ours, host: str, base: str, plan: Plan) -> tables.Row:
    """Our build as a process, with the interpreter's start and the imports."""
    image = new_image(host)
    command = whole_process(ours.home, project.folder, image, base)
    subprocess.run(command, check=True)
    nothing = [seconds(lambda: subprocess.run(command, check=True)) for _ in range(plan.runs)]
    edits = []
    for _ in range(plan.runs):
        project.edit()
        time.sleep(plan.pause)
        edits.append(seconds(lambda: subprocess.run(command, check=True)))
    return {"edit": edits, "nothing": nothing}


def bump(project: projects.Project, ours: Ours, host: str, base: str, line: str) -> None:
    """Measures what is sent when a small dependency beside torch gets another version."""
    image = new_image(host)
    try:
        ours.prepare(project, base)
        ours.forget(base)
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


if __name__ == "__main__":
    main()
