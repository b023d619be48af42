"""Files that a script asks for in vain are named if the project has them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from prefect_vertex_training.project.local_run.asked_files import AskedFiles, warning, why


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project; its image has kept.txt and sub/kept.txt only."""
    for path in ("kept.txt", "gone.txt", "sub/kept.txt", "sub/gone.txt", "out/old.txt", ".venv/x", "data/a.bin"):
        (tmp_path / "root" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / path).touch()
    for path in ("kept.txt", "sub/kept.txt"):
        (tmp_path / "copy" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / path).touch()
    return tmp_path / "root"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("import os; os.path.exists('gone.txt'); os.path.isfile(b'sub/gone.txt')", ["gone.txt", "sub/gone.txt"]),
        ("import pathlib; (pathlib.Path('sub') / 'gone.txt').is_file()", ["sub/gone.txt"]),
        ("import pathlib; (pathlib.Path.cwd() / 'gone.txt').exists()", ["gone.txt"]),
        ("import os; os.chdir('sub'); os.stat('../gone.txt')", ["gone.txt"]),
        ("import io; io.open('gone.txt')", ["gone.txt"]),
        ("import os; os.open('gone.txt', os.O_RDONLY)", ["gone.txt"]),
        ("import os; os.listdir('data')", ["data/"]),
        ("import glob; glob.glob('sub/*.txt')", ["sub/gone.txt"]),
        ("import subprocess, sys; subprocess.run([sys.executable, '-c', 'open(\"gone.txt\")'])", ["gone.txt"]),
        ("import threading as t; t.Thread(target=open, args=['gone.txt']).start()", ["gone.txt"]),
        ("import os; os.path.exists('never.txt'); os.path.exists('/etc/passwd'); os.path.exists('.venv/x')", []),
        ("import os; os.makedirs('out/deep', exist_ok=True); open('gone.txt', 'w')", []),
        ("import os; os.listdir(); os.listdir('.'); open('kept.txt'); import json, logging.handlers", []),
    ],
)
def test_what_is_asked_for(root: Path, script: str, expected: Sequence[str]) -> None:
    """By stat, open and lists of folders, in threads and children; not what nobody has or the script makes itself."""
    asked = _run(root, script)

    assert asked.left_out({"kept.txt", "sub/kept.txt"}) == tuple(expected)


def test_a_text_of_the_script_counts(root: Path) -> None:
    """Also one that the small run does not reach; a text that is no plain path of a file doesn't."""
    texts = ["gone.txt", "kept.txt", "sub", "./gone.txt", "a\nb", "", "never.txt", ".venv/x", "../root/gone.txt", "\0"]

    assert _run(root, "").left_out({"kept.txt", "sub/kept.txt"}, texts) == ("gone.txt",)


def test_the_script_runs_as_without_the_hook(root: Path, tmp_path: Path) -> None:
    """The environment's own sitecustomize runs, the hook's folder is not on the path, and stat keeps its powers."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("print('own sitecustomize')\n")
    script = (
        "import os, shutil, sys\n"
        "assert not any('hook' in path for path in sys.path), sys.path\n"
        "assert shutil.rmtree.avoids_symlink_attacks and os.stat in os.supports_follow_symlinks\n"
        "assert os.stat('kept.txt', follow_symlinks=False).st_size == 0 and os.stat(1)\n"
        "try: os.stat('gone.txt')\n"
        "except FileNotFoundError as error: assert error.filename == 'gone.txt'\n"
        "else: raise AssertionError\n"
        "class Accessor: stat = os.stat\n"  # pathlib does this until Python 3.9
        "assert Accessor().stat('kept.txt').st_size == 0\n"
    )

    asked = _run(root, script, PYTHONPATH=str(own), shown="own sitecustomize\n")

    assert asked.left_out(set()) == ("gone.txt",)


def test_the_message_is_one_line_with_the_setting() -> None:
    """Three are named, the rest is counted."""
    reason, step = why(["a", "b/", "c", "d"])

    assert reason == "it asks for a, b/, c and 1 more, which the project's ignore rules leave out"
    assert 'include = ["/a", "/b/", "/c"]' in step
    assert warning([]) == []
    assert [line.count("\n") for line in warning(["a"])] == [0]


def _run(root: Path, script: str, *, shown: str = "", **env: str) -> AskedFiles:
    copy = root.parent / "copy"
    asked = AskedFiles(root.parent / "hook", copy, root)
    variables = asked.variables({**os.environ, **env})
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=copy, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 or "No such file" in done.stderr, done.stderr
    assert done.stdout == shown
    return asked


def test_files_that_are_made_outside_are_known(root: Path, tmp_path: Path) -> None:
    """In and above the run's folder and elsewhere; not what is gone, what tools keep, or the run's own folders."""
    for name in ("outputs", "models", ".cache"):
        (tmp_path / name).mkdir()
    script = (
        "import os\n"
        "for name in ('inside.pt', '../models/a.pt', '../gone.pt', '../outputs/b.pt', '../.cache/c.pt'):\n"
        "    open(name, 'wb').close()\n"
        "os.remove('../gone.pt'); open('/dev/null', 'w').close()\n"
    )
    assert _run(root, script).made_outside([tmp_path / "outputs"]) == ("../models/a.pt",)
