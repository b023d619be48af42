"""Measures opening a project of 5,000 files and 200 MB: settings, list of files, search for secrets, fingerprint.

    python benchmarks/project/scan.py [--files 5000] [--megabytes 200] [--text 0.05] [--rounds 7]

"cold" reads every byte (from the page cache), "unchanged" finds no change, and "one edit" finds one changed file. A
part of the bytes (`--text`) is code and configuration, the rest is random. For comparison git, which does not search
for secrets, runs `git add --all` and `git write-tree`: with an empty index, and again with a full one.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from prefect_vertex_training.core.home import Home
from prefect_vertex_training.project.files.listing import list_files
from prefect_vertex_training.project.settings.settings import Settings, load
from prefect_vertex_training.project.snapshot import Project

_GITIGNORE = """*.log
*.tmp
*.bak
*.ckpt
*.pt
*.h5
*.onnx
*.so
*.egg
*.orig
*.rej
.coverage
htmlcov/
build/
dist/
out/
target/
/data/raw/
docs/_build/
!keep.log
"""


def make_project(root: Path, files: int, size: int, text: float = 0.0) -> None:
    """Creates a project of random files in 350 folders; every n-th file is text."""
    source = random.Random(0)
    lines = [f"    value_{number} = config['key_{number}'] * {source.random()}  # a line\n" for number in range(1000)]
    every = round(1 / text) if text else files + 1
    root.mkdir()
    (root / "train.py").write_text("")
    (root / ".gitignore").write_text(_GITIGNORE)
    for number in range(files):
        folder = root / f"part{number % 50}" / f"group{number % 7}"
        folder.mkdir(parents=True, exist_ok=True)
        is_text = number % every == every - 1
        content = "".join(source.choices(lines, k=size // 60 + 1)).encode() if is_text else source.randbytes(size)
        (folder / f"sample{number}.bin").write_bytes(content[:size])


class Times(NamedTuple):
    """Medians of all rounds in milliseconds; `cpu` counts all threads of this process and no child processes."""

    wall: float
    cpu: float


def median(action: Callable[[], object], rounds: int, before: Callable[[], object] = lambda: None) -> Times:
    """Measures `action`; `before` runs before each round and is not measured."""
    times: list[tuple[float, float]] = []
    for _ in range(rounds):
        before()
        begin = time.perf_counter(), time.process_time()
        action()
        times.append((time.perf_counter() - begin[0], time.process_time() - begin[1]))
    return Times(*(statistics.median(column) * 1000 for column in zip(*times, strict=True)))


def walk(root: Path) -> int:
    """Lists and stats everything, which every scan has to do."""
    total = 0
    folders = [str(root)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    return total


def git(root: Path) -> None:
    """Lets git compute the hash of the tree."""
    for command in (["add", "--all"], ["write-tree"]):
        subprocess.run(["git", "-C", root, *command], check=True, stdout=subprocess.DEVNULL)


def forget(root: Path) -> None:
    """Replaces the git repository by an empty one."""
    shutil.rmtree(root / ".git", ignore_errors=True)
    subprocess.run(["git", "-C", root, "init", "--quiet"], check=True)


def edit(root: Path) -> Callable[[], None]:
    """A function that changes one byte of another file at each call."""
    numbers = iter(range(1000))

    def change() -> None:
        number = next(numbers)
        path = root / f"part{number % 50}" / f"group{number % 7}" / f"sample{number}.bin"
        path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])

    return change


def measure(root: Path, home: Home, rounds: int) -> list[tuple[str, Times, float | None]]:
    """Rows of the table: name, our times and git's wall time."""
    settings: Settings = load(root)
    has_git = shutil.which("git") is not None
    time.sleep(2.1)  # files changed within 2 s are read again

    def ours() -> Project:
        return Project.open(root, home)

    def clean() -> None:
        shutil.rmtree(home.root, ignore_errors=True)

    # git runs last, because its objects fill the page cache
    rows: list[tuple[str, Times, float | None]] = [
        ("walk and stat alone", median(lambda: walk(root), rounds), None),
        ("list the files", median(lambda: list_files(root, settings), rounds), None),
    ]
    change = edit(root)
    mine = [median(ours, rounds, clean), median(ours, rounds), median(ours, rounds, change)]
    git_s: list[float | None] = [None, None, None]
    if has_git:
        git_s = [
            median(lambda: git(root), 3, lambda: forget(root)).wall,
            median(lambda: git(root), rounds).wall,
            median(lambda: git(root), rounds, change).wall,
        ]
    names = ("open, cold", "open, unchanged", "open, one edit")
    return rows + list(zip(names, mine, git_s, strict=True))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--megabytes", type=float, default=200)
    parser.add_argument("--text", type=float, default=0.05)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve() / "project"
        make_project(root, arguments.files, int(arguments.megabytes * 1e6 / arguments.files), arguments.text)
        rows = measure(root, Home(Path(folder) / "home"), arguments.rounds)
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores"
    print(f"{arguments.files} files, {arguments.megabytes:g} MB, {arguments.text:.0%} text; {machine}")
    print(f"{'medians, milliseconds':34} {'wall':>8} {'CPU':>8} {'git':>8}")
    for what, here, other in rows:
        print(f"{what:34} {here.wall:8.0f} {here.cpu:8.0f} {'' if other is None else f'{other:.0f}':>8}")


if __name__ == "__main__":
    main()
