"""Lays one project of the corpus out: its files, its package index, its activated environment."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fixtures.projects.packages import BACKEND
from prefect_vertex_training.core.host.pythons import own_python

from .case import EXPECTED, Case
from .packages import Package

_UV = Path(sys.executable).with_name("uv")
_HASH = re.compile(r"@(SHA\d+):([^@]+)@")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A project that is ready to run.

    Attributes:
        project: The folder that is given to the product.
        token: A text that no other process has in its command line; `@TOKEN@` in the project's files.
        variables: The environment to run in; None removes a variable.
    """

    project: Path
    token: str
    variables: Mapping[str, str | None] = field(default_factory=dict)

    @contextlib.contextmanager
    def activated(self) -> Iterator[None]:
        """Sets the variables for a block."""
        before = {name: os.environ.get(name) for name in self.variables}
        _set(self.variables)
        try:
            yield
        finally:
            _set(before)


def prepare(case: Case, folder: Path) -> Prepared:
    """Writes the project into the empty `folder`, beside its packages.

    Nothing is downloaded, unless the case says `builds`: that needs setuptools from a real index.
    """
    setup = case.table("setup")
    root, index, cpu = folder / "demo", folder / "index", folder / "cpu"
    shutil.copytree(case.source, root, ignore=shutil.ignore_patterns(EXPECTED))
    cpu = root / setup["cpu-folder"] if "cpu-folder" in setup else cpu
    _write_index(setup, index, cpu)
    token = f"corpus-{case.name.replace('/', '-')}-{os.getpid()}"
    words = {"@TOKEN@": token, "@INDEX@": str(index), "@CPU@": str(cpu)}
    _write_files(setup.get("made", {}), root, index, words)
    _write_special(setup, root)
    (index / "constraints.txt").write_text(setup.get("constraints", ""))
    variables = _variables(setup, root, folder, index)
    variables |= {name: _replaced(text, words) for name, text in setup.get("variables", {}).items()}
    prepared = Prepared(root / case.expected.get("folder", ""), token, variables)
    with prepared.activated():
        for command in setup.get("run", ()):
            _run_uv(command, root, index)
    _write_files(setup.get("after", {}), root, index, words)
    return prepared


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _write_index(setup: Mapping[str, Any], index: Path, cpu: Path) -> None:
    for key, target in (("index", index), ("cpu", cpu)):
        target.mkdir(parents=True, exist_ok=True)
        for text in setup.get(key, ()):
            Package.parse(text).write_wheel(target)
    for text in setup.get("sdists", ()):
        Package.parse(text).write_sdist(index)


def _write_files(files: Mapping[str, Any], root: Path, index: Path, words: Mapping[str, str]) -> None:
    """Writes what git would change or refuse to keep: other encodings, ignored files, names of git's own."""
    for path, value in files.items():
        table = value if isinstance(value, dict) else {"text": value}
        text = _HASH.sub(lambda found: _digest(found[1], index / found[2]), table["text"])
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(_replaced(text, words).encode(table.get("encoding", "utf-8")))
        target.chmod(int(table.get("mode", "644"), 8))


def _replaced(text: str, words: Mapping[str, str]) -> str:
    for word, meaning in words.items():
        text = text.replace(word, meaning)
    return text


def _digest(algorithm: str, file: Path) -> str:
    return hashlib.new(algorithm.lower(), file.read_bytes()).hexdigest()


def _write_special(setup: Mapping[str, Any], root: Path) -> None:
    for name in setup.get("folders", ()):
        (root / name).mkdir(parents=True)
    for name, target in setup.get("links", {}).items():
        (root / name).symlink_to(target)
    for name in setup.get("old", ()):
        os.utime(root / name, (1000, 1000))
    if "backend" in setup:
        (root / setup["backend"]).write_text(BACKEND)
    if setup.get("git") == "other-owner":
        subprocess.run(["git", "init", "--quiet", root], check=True)
        for path in [root, *root.rglob("*")]:
            os.chown(path, 12345, 12345)


def _variables(setup: Mapping[str, Any], root: Path, folder: Path, index: Path) -> dict[str, str | None]:
    variables: dict[str, str | None] = {"VIRTUAL_ENV": None, "CONDA_PREFIX": None}
    if setup.get("builds"):
        variables["PIP_FIND_LINKS"] = f"{os.environ.get('PIP_FIND_LINKS', '')} {index}".strip()
    else:
        own = [name for name in os.environ if name.startswith(("PIP_", "UV_")) and name != "UV_CACHE_DIR"]
        variables |= dict.fromkeys(own)
        variables |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index)}
        variables["UV_PYTHON_INSTALL_MIRROR"] = f"file://{folder}/no-pythons"
    if "installed" in setup:
        environment = root / setup["venv"] if "venv" in setup else folder / "environment"
        _make_environment(environment, setup["installed"])
        variables["VIRTUAL_ENV"] = None if "venv" in setup else str(environment)
    return variables


def _make_environment(folder: Path, packages: list[str]) -> None:
    """Writes a virtual environment as PEP 405 describes it, which costs no process."""
    python = own_python()
    site = folder / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    site.mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "bin/python").symlink_to(python)
    (folder / "bin/python3").symlink_to("python")
    (folder / "pyvenv.cfg").write_text(f"home = {python.parent}\ninclude-system-site-packages = false\n")
    for text in packages:
        Package.parse(text).install(site)


def _run_uv(command: list[str], root: Path, index: Path) -> None:
    program, *words = command
    assert program == "uv"
    env = {**os.environ, "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(index), "UV_PYTHON": sys.executable}
    finished = subprocess.run([_UV, *words], check=False, cwd=root, env=env, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
