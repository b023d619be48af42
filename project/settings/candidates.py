"""Looks for what trains in a project: scripts in the usual places, modules of packages, and console scripts."""

from __future__ import annotations

import ast
import configparser
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

TIERS = (
    ("train.py", "main.py", "task.py", "training.py"),
    ("src/train.py", "src/main.py", "trainer/task.py", "trainer/train.py", "training/train.py"),
)
"""Usual places of the script. Only the first tier with a match counts: `train.py` may import `src/train.py`."""
_NAMES = ("train.py", "main.py", "task.py", "training.py", "__main__.py")
_TOOLS = {"setup.py", "noxfile.py", "conftest.py", "tasks.py", "fabfile.py", "dodo.py", "manage.py", "hubconf.py",
          "sitecustomize.py", "versioneer.py", "__init__.py", "conf.py", "build.py", "_version.py"}  # fmt: skip
"""Files of other tools, which train nothing."""
_NOT_PROJECT = {"tests", "test", "docs", "doc", "build", "dist", "node_modules", "venv", "env", "site-packages"}
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def scripts_in_root(root: Path) -> list[str]:
    """Python files in the project's folder that may train."""
    return sorted(path.name for path in root.glob("*.py") if path.name not in _TOOLS and not _is_test(path.name))


def scripts_in_packages(root: Path) -> list[str]:
    """Scripts with usual names up to three folders deep: `pkg/train.py`, `src/pkg/main.py`."""
    found: list[str] = []
    for depth in ("[!.]*", "[!.]*/[!.]*", "[!.]*/[!.]*/[!.]*"):
        for name in _NAMES:
            paths = [path.relative_to(root) for path in root.glob(f"{depth}/{name}")]
            found += sorted(path.as_posix() for path in paths if not _NOT_PROJECT.intersection(path.parts))
    return found


def _is_test(name: str) -> bool:
    return name.startswith("test_") or name.endswith("_test.py")


def module_of(file: str) -> str:
    """The dotted name of a module: `src/pkg/train.py` gives `pkg.train`, `pkg/__main__.py` gives `pkg`."""
    parts = list(Path(file).with_suffix("").parts)
    parts = parts[1:] if parts[0] == "src" and len(parts) > 1 else parts
    return ".".join(parts[:-1] if parts[-1] == "__main__" and len(parts) > 1 else parts)


def file_of(root: Path, module: str) -> str | None:
    """The file of a module of the project, relative to it; None without one."""
    path = module.replace(".", "/")
    names = (f"{folder}{path}{end}" for folder in ("", "src/") for end in (".py", "/__main__.py"))
    return next((name for name in names if (root / name).is_file()), None)


def has_relative_import(path: Path) -> bool:
    """Whether a file imports relatively to its package when it starts, which only `python -m` can run.

    Imports in functions and in `try` don't count: they have another way.
    """
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return False
    return any(isinstance(node, ast.ImportFrom) and node.level for node in _run_at_start(tree.body))


def _run_at_start(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, (ast.If, ast.With)):
            yield from _run_at_start(node.body)


def console_scripts(root: Path, document: Mapping[str, Any]) -> dict[str, str]:
    """The project's own console scripts: name to `PACKAGE.MODULE:FUNCTION`; from pyproject.toml and setup.cfg."""
    poetry = _table(_table(document, "tool"), "poetry")
    found = {**_table(poetry, "scripts"), **_table(_table(document, "project"), "scripts")}
    return {name: text for name, text in {**dict(_setup_cfg(root)), **found}.items() if _is_target(text)}


def _table(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _is_target(text: object) -> bool:
    return isinstance(text, str) and _TARGET.fullmatch(text) is not None


def _setup_cfg(root: Path) -> Iterator[tuple[str, str]]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(root / "setup.cfg", encoding="utf-8")
        text = parser.get("options.entry_points", "console_scripts", fallback="")
    except (configparser.Error, UnicodeDecodeError):
        return
    for line in text.splitlines():
        name, equals, target = line.partition("=")
        if equals:
            yield name.strip(), target.strip()
