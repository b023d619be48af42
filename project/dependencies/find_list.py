"""Finds and reads a project's dependency list; every format gives the same `Requirements`."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...core.errors import DependencyError
from ..settings.settings import Settings
from . import interpreters, uv
from .formats import conda, poetry, pylock
from .formats.requirements_txt import Line, Requirements, decoded, package_of, read_file, read_text

_UNSUPPORTED = {
    "Pipfile": "Export it: pipenv requirements > requirements.txt",
    "setup.py": "List what the script imports in requirements.txt, or freeze what is installed: --freeze environment",
}
_PYPI = "https://pypi.org/simple"


def read(root: Path, settings: Settings) -> Requirements:
    """Reads the project's dependency list.

    The setting `freeze` chooses the list. Without it the first of these counts: the `requirements` setting, uv.lock,
    pylock.toml, poetry.lock, requirements.txt, `dependencies` in pyproject.toml, conda's files.

    Raises:
        DependencyError: A file is missing, can't be read, or has a format that can't be frozen.
    """
    root = root.resolve()
    if settings.freeze == "auto":
        return _first_list(root, settings)
    listed = _READERS[settings.freeze](root, settings)
    if listed is None:
        raise DependencyError(
            f"there is nothing to freeze as {settings.freeze}", where=root, next_step=_HOW_TO_CREATE[settings.freeze]
        )
    return listed


def _first_list(root: Path, settings: Settings) -> Requirements:
    """The first list in the order of `_READERS`; empty if there is none."""
    if settings.requirements is not None:
        listed = _requirements(root, settings)
        assert listed is not None
        return listed
    for method, reader in _READERS.items():
        if method != "environment" and (listed := reader(root, settings)):
            return listed
    for name, step in _UNSUPPORTED.items():
        if (root / name).is_file():
            raise DependencyError(f"{name} can't be frozen", where=root, next_step=step)
    return Requirements()


def _requirements(root: Path, settings: Settings) -> Requirements | None:
    name = settings.requirements or "requirements.txt"
    path = root / name
    if not path.is_file():
        if settings.requirements is None:
            return None
        raise DependencyError(
            f"there is no {name}",
            where=root,
            next_step="Fix requirements under [tool.vertex-training] in pyproject.toml",
        )
    if conda.is_export(text := decoded(path, name)):
        return conda.of_export(path, text, settings)
    return replace(read_file(root, path), method=name)


def _pyproject(root: Path, settings: Settings) -> Requirements | None:  # noqa: ARG001 - all readers have one signature
    path = root / "pyproject.toml"
    text = decoded(path, path.name) if path.is_file() else ""
    dependencies = tomllib.loads(text).get("project", {}).get("dependencies")
    if dependencies is None:
        return None
    if not isinstance(dependencies, list) or not all(isinstance(item, str) for item in dependencies):
        raise DependencyError("dependencies must be a list of texts", where=path, next_step="Fix that list")
    lines = []
    for item in dependencies:
        number = text[: max(text.find(item), 0)].count("\n") + 1
        lines.append(Line(path.name, number, item, package_of(item)))
    return Requirements(path.name, tuple(lines))


def _uv_lock(root: Path, settings: Settings) -> Requirements | None:  # noqa: ARG001
    path = root / "uv.lock"
    if not path.is_file():
        return None
    if not (root / "pyproject.toml").is_file():
        raise DependencyError("uv.lock has no pyproject.toml beside it", where=root, next_step="Put it there")
    text = decoded(path, path.name)
    listed = read_text(root, path.name, _exported(root))
    options = _registries(path, text)
    return replace(listed, lines=_with_lock_lines(listed.lines, text), options=(*listed.options, *options))


def _exported(root: Path) -> str:
    """`uv.lock` as a requirements file, exported by uv without asking an index."""
    command = ["export", "--frozen", "--no-emit-project", "--no-dev", "--no-header", "--no-annotate"]
    finished = uv.run(command, cwd=root)
    if finished.returncode != 0:
        raise DependencyError(
            f"uv can't read uv.lock: {' '.join(finished.stderr.split())[:300]}", where=root, next_step="Run uv lock"
        )
    return finished.stdout


def _registries(path: Path, text: str) -> list[str]:
    """The indexes other than PyPI that packages of a uv.lock come from, as options of a requirements file."""
    try:
        packages: list[dict[str, Any]] = tomllib.loads(text).get("package", [])
    except tomllib.TOMLDecodeError:
        return []
    places = dict.fromkeys(str(package.get("source", {}).get("registry", _PYPI)) for package in packages)
    return [
        f"--extra-index-url {place}" if "://" in place else f"--find-links {(path.parent / place).resolve()}"
        for place in places
        if place.rstrip("/") != _PYPI
    ]


def _with_lock_lines(lines: tuple[Line, ...], text: str) -> tuple[Line, ...]:
    """The lines with the line numbers of their packages in the lock, which a user can look up."""
    places = {name: number for number, raw in enumerate(text.splitlines(), 1) if (name := _named(raw))}
    return tuple(replace(line, number=places.get(line.name or "", line.number)) for line in lines)


def _named(raw: str) -> str | None:
    found = re.match(r'name = "([^"]+)"', raw)
    return package_of(found[1]) if found else None


def _pylock(root: Path, settings: Settings) -> Requirements | None:  # noqa: ARG001
    path = root / "pylock.toml"
    return pylock.read(root, path) if path.is_file() else None


def _poetry(root: Path, settings: Settings) -> Requirements | None:  # noqa: ARG001
    path = root / "poetry.lock"
    return poetry.read(root, path) if path.is_file() else None


def _environment(root: Path, settings: Settings) -> Requirements | None:
    """The packages installed in the user's own Python, as `pip freeze` lists them."""
    found = interpreters.interpreters(root, os.environ)
    interpreter = next((it for it in found if it.python == settings.python), None)
    if interpreter is None:
        raise DependencyError(
            f"{found[0].path} is Python {found[0].python}, and the project wants {settings.python}",
            where=root,
            next_step=f'Set python = "{found[0].python}" under [tool.vertex-training], or activate another environment',
        )
    finished = uv.run(["pip", "freeze", "--python", str(interpreter.path)], cwd=root)
    if finished.returncode != 0:
        raise DependencyError(
            f"can't list what is installed in {interpreter.path}: {' '.join(finished.stderr.split())[:300]}", where=root
        )
    return replace(read_text(root, "environment", finished.stdout), notes=(f"frozen from {interpreter.path}",))


def _conda(root: Path, settings: Settings) -> Requirements | None:
    return conda.read(root, settings)


Reader = Callable[[Path, Settings], Requirements | None]
_READERS: Mapping[str, Reader] = {
    "uv.lock": _uv_lock,
    "pylock.toml": _pylock,
    "poetry.lock": _poetry,
    "requirements.txt": _requirements,
    "pyproject.toml": _pyproject,
    "conda": _conda,
    "environment": _environment,
}
"""Reader of each kind of list, in the order in which lists are looked for."""

_HOW_TO_CREATE = {
    "uv.lock": "Create it: uv lock",
    "pylock.toml": "Create it: uv export --format pylock.toml -o pylock.toml, or pip lock",
    "poetry.lock": "Create it: poetry lock",
    "requirements.txt": "Create it: pip freeze > requirements.txt",
    "pyproject.toml": "List the dependencies under [project] in pyproject.toml",
    "conda": "Create it: conda env export --no-builds > environment.yml",
    "environment": "Activate the environment that has the packages",
}
