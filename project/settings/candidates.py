"""Looks for what trains in a project: scripts in the usual places, modules of packages, and console scripts."""

from __future__ import annotations

import ast
import configparser
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
_GUARD = re.compile(rb"^if __name__ *== *['\"]__main__['\"]", re.MULTILINE)
_ACTS = re.compile(rb"^(?:(?!exec|eval)[A-Za-z_][\w.]*\(|(?:for|while|with) )", re.MULTILINE)
"""A file that does something when it is run: a call or a loop at its top level."""
_TESTING = re.compile(rb"^(?:import|from) (?:pytest|unittest)\b|^def test_", re.MULTILINE)
_SERVES = re.compile(
    rb"^\s*(?:import|from) (?:flask|fastapi|streamlit|gradio|uvicorn|starlette|dash|django|sanic|bottle|tornado"
    rb"|litserve|bentoml|shiny|chainlit|robyn|quart|falcon)\b",
    re.MULTILINE,
)
"""A file that answers requests or shows a page: it trains nothing and never ends."""
_TRAINER = re.compile(r"(?:^|[-_.])(?:re)?(?:train(?:ing|er)?|fit)(?:$|[-_.])")
_USES = re.compile(
    r"(?:^|[-_.])(?:infer(?:ence)?|predict(?:or|ion|ions)?|serv(?:e|er|ing)|scor(?:e|ing)|deploy)(?:$|[-_.])"
)
"""A part of a file's name that says that it uses a model which was trained before."""
_INTERPRETERS = {".R": "Rscript", ".r": "Rscript", ".jl": "julia", ".sh": "bash"}
_DEEPEST = 5
_MOST_FILES = 3000
_TARGET = re.compile(r"([A-Za-z_][\w.]* ?: ?[A-Za-z_][\w.]*)(?: *\[[\w, -]*\])?")
"""Where a console script leads; extras that it needs may stand behind."""


def scripts_in_root(root: Path) -> list[str]:
    """Python files in the project's folder that may train."""
    paths = (path for path in root.glob("*.py") if path.name not in _TOOLS and not _is_test(path.name))
    return sorted(path.name for path in paths if not serves(path))


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


def likely_scripts(root: Path) -> list[str]:
    """Python files and notebooks anywhere in the project that may train, the likeliest first.

    Files of other tools, tests, servers and modules that only define something are left out; without any script,
    modules and servers count.
    """
    found: dict[str, list[str]] = {"script": [], "notebook": [], "module": [], "server": []}
    for path in _files(root):
        if kind := _kind(root, path):
            found[kind].append(path)
    scripts, notebooks, modules, servers = (sorted(paths, key=_unlikely) for paths in found.values())
    return [*scripts, *notebooks] or [*modules, *servers]


def trainers(root: Path) -> list[str]:
    """The likely scripts whose name says that they train."""
    return [name for name in likely_scripts(root) if name.endswith(".py") and _TRAINER.search(Path(name).stem)]


def likeliest(names: Iterable[str]) -> str:
    """The name that says most plainly that it trains; without any the first by the alphabet."""
    return min(names, key=lambda name: (not _TRAINER.search(name), len(name) if _TRAINER.search(name) else 0, name))


def other_language(root: Path) -> tuple[str, ...]:
    """The words that start the likeliest program in another language than Python; empty without one."""
    names = sorted(path.name for path in root.iterdir() if path.suffix in _INTERPRETERS and path.is_file())
    found = min(names, key=lambda name: (not _TRAINER.search(Path(name).stem), name), default="")
    return (_INTERPRETERS[Path(found).suffix], found) if found else ()


def _kind(root: Path, path: str) -> str | None:
    """What a Python file or notebook is for; None for a test."""
    if path.endswith(".ipynb"):
        return "notebook"
    text = _read(root / path)
    if _is_test(Path(path).name) and _TESTING.search(text):
        return None
    if serves(root / path):
        return "server"
    return "script" if _GUARD.search(text) or _ACTS.search(text) else "module"


def serves(path: Path) -> bool:
    """Whether a Python file is a server or an app with pages, by what it imports."""
    return bool(_SERVES.search(_read(path)))


def _unlikely(path: str) -> tuple[bool, bool, int, str]:
    """A key that sorts `train.py` before `fit_model.py`, and those before other files."""
    name = Path(path).name
    return "train" not in name, name not in _NAMES and "fit" not in name, path.count("/"), path


def _files(root: Path) -> Iterator[str]:
    """The project's Python files and notebooks, not too deep, without those of tools, tests and environments."""
    found = 0
    for folder, folders, names in os.walk(root):
        place = Path(folder).relative_to(root)
        deep = len(place.parts) >= _DEEPEST
        folders[:] = [] if deep else sorted(name for name in folders if name[0] != "." and name not in _NOT_PROJECT)
        for name in names:
            if name.endswith((".py", ".ipynb")) and name not in _TOOLS and found < _MOST_FILES:
                found += 1
                yield (place / name).as_posix()


def in_dockerfile(root: Path) -> str | None:
    """The Python file that the Dockerfile's last ENTRYPOINT or CMD names, without servers and what uses a model."""
    try:
        text = (root / "Dockerfile").read_text(encoding="utf-8-sig").replace("\\\n", " ")
    except (OSError, UnicodeDecodeError):
        return None
    lines = re.findall(r"^\s*(?:ENTRYPOINT|CMD)\s+(.*)$", text, re.MULTILINE | re.IGNORECASE)
    words = [word for line in reversed(lines) for word in re.findall(r"[^\s\[\]\",']+\.py\b", line)]
    paths = filter(None, (file_in_image(root, word) for word in words))
    return next((path for path in paths if not serves(root / path) and not _USES.search(Path(path).stem)), None)


def file_in_image(root: Path, path: str) -> str | None:
    """The project's file that a path in its image may be: `/app/src/train.py` is src/train.py; None without one."""
    parts = path.lstrip("./").split("/")
    places = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((place for place in places if place and (root / place).is_file()), None)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def module_of(root: Path, file: str) -> str:
    """The dotted name of a module: `src/pkg/train.py` gives `pkg.train`, `pkg/__main__.py` gives `pkg`.

    Where `src` is itself the package, its name stays: it has an `__init__.py`, or relative imports lead up to it.
    """
    parts = list(Path(file).with_suffix("").parts)
    if parts[0] == "src" and len(parts) - 2 >= max(1, _levels(root / file)) and not (root / "src/__init__.py").exists():
        parts = parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__main__" and len(parts) > 1 else parts)


def _levels(path: Path) -> int:
    """How many packages up the relative imports of a file lead that it makes when it starts; 0 without any."""
    return max((node.level for node in _imports_at_start(path)), default=0)


def file_of(root: Path, module: str) -> str | None:
    """The file of a module of the project, relative to it; None without one."""
    path = module.replace(".", "/")
    names = (f"{folder}{path}{end}" for folder in ("", "src/") for end in (".py", "/__main__.py"))
    return next((name for name in names if (root / name).is_file()), None)


def runs_as_module(root: Path, name: str) -> bool:
    """Whether `python -m` is the way to run a file: it imports relatively or is `__main__.py`, and does something.

    A library's training.py only defines what others call, and a folder whose name is none in Python is no package.
    """
    if not all(part.isidentifier() for part in Path(name).with_suffix("").parts):
        return False
    if name.endswith("/__main__.py"):
        return True
    text = _read(root / name)
    return bool(_GUARD.search(text) or _ACTS.search(text)) and has_relative_import(root / name)


def has_relative_import(path: Path) -> bool:
    """Whether a file imports relatively to its package when it starts, which only `python -m` can run.

    Imports in functions and in `try` don't count: they have another way.
    """
    return _levels(path) > 0


def _imports_at_start(path: Path) -> Iterator[ast.ImportFrom]:
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    yield from (node for node in _run_at_start(tree.body) if isinstance(node, ast.ImportFrom))


def _run_at_start(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, (ast.If, ast.With)):
            yield from _run_at_start(node.body)


def console_scripts(root: Path, document: Mapping[str, Any]) -> dict[str, str]:
    """The project's own console scripts: name to `PACKAGE.MODULE:FUNCTION`.

    They are those of pyproject.toml, setup.cfg and setup.py, of which the first named wins.
    """
    poetry = _table(_table(document, "tool"), "poetry")
    found = {**dict(_setup_py(root)), **dict(_setup_cfg(root))}
    found |= {**_table(poetry, "scripts"), **_table(_table(document, "project"), "scripts")}
    return {name: target for name, written in found.items() if (target := _target(written))}


def _table(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _target(written: object) -> str:
    """`MODULE:FUNCTION` of a console script as it is written; empty for a script of another kind.

    Poetry writes it as a table too: `train = {reference = "pkg.cli:main", type = "console"}`.
    """
    if isinstance(written, dict):
        written = written.get("reference") or written.get("callable") if written.get("type") != "file" else None
    found = _TARGET.fullmatch(written.strip()) if isinstance(written, str) else None
    return found[1].replace(" ", "") if found else ""


def _setup_py(root: Path) -> Iterator[tuple[str, str]]:
    """The console scripts that a setup.py lists as texts, and whose modules are there; it isn't run for that."""
    try:
        tree = ast.parse(_read(root / "setup.py"))
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "entry_points":
            for text in _texts(node.value):
                name, _, target = text.partition("=")
                if file_of(root, target.partition(":")[0].strip()):
                    yield name.strip(), target.strip()


def _texts(node: ast.expr) -> list[str]:
    """The texts of `console_scripts` in an `entry_points`: a dict with a list, or a text in the form of setup.cfg."""
    try:
        value: Any = ast.literal_eval(node)
    except ValueError:
        return []
    if isinstance(value, str):
        parser = configparser.ConfigParser(interpolation=None, delimiters=("=",))
        try:
            parser.read_string(value)
            return [f"{name}={target}" for name, target in parser.items("console_scripts")]
        except configparser.Error:
            return []
    listed = value.get("console_scripts", ()) if isinstance(value, dict) else ()
    return [text for text in ([listed] if isinstance(listed, str) else listed) if isinstance(text, str)]


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
