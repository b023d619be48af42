"""Finds and reads a project's dependency list; every format gives the same `Requirements`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from ...core.errors import DependencyError
from ..settings.settings import Settings
from . import interpreters, uv
from .formats import conda, pdm, pipfile, poetry, pylock, pyproject, script_block
from .formats.requirements_txt import Requirements, decoded, read_file, read_text
from .lists import requirements_files, setup_files, unused_lists, uv_lock, workspace

_WITH_EXTRAS = frozenset(("uv.lock", "poetry.lock", "pdm.lock", "pyproject.toml", "setup.cfg", "setup.py"))
_WITH_GROUPS = frozenset(("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pyproject.toml"))


def read(root: Path, settings: Settings) -> Requirements:
    """Reads the project's dependency list.

    The setting `freeze` chooses the list. Without it the first of these counts: the `requirements` setting, then the
    lists in the order of `_READERS`, then requirements files of other names.

    Raises:
        DependencyError: A file is missing, can't be read, is out of date, or has a format that can't be frozen.
    """
    root = root.resolve()
    listed = _first_list(root, settings) if settings.freeze == "auto" else _read_as(settings.freeze, root, settings)
    if listed is None:
        raise DependencyError(
            f"there is nothing to freeze as {settings.freeze}", where=root, next_step=_HOW_TO_CREATE[settings.freeze]
        )
    _require_known_settings(root, settings, listed)
    if settings.freeze == "auto" and (note := unused_lists.note(root, settings, listed.method)):
        listed = replace(listed, notes=(*listed.notes, note))
    return listed


def _read_as(method: str, root: Path, settings: Settings) -> Requirements | None:
    """Reads a list by one reader; None if there is none of its kind.

    Raises:
        DependencyError: As `read`; a list that has another form than its tool gives it is named.
    """
    try:
        return _READERS[method](root, settings)
    except (KeyError, IndexError, TypeError, AttributeError) as error:  # a value is missing, or of another kind
        what = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:200]
        raise DependencyError(
            f"the project's list of the kind {method} hasn't the form that its tool writes: {what}",
            where=root,
            next_step=_HOW_TO_CREATE[method].replace("Create it", "Create it again"),
        ) from error


def _first_list(root: Path, settings: Settings) -> Requirements:
    """The first list in the order of `_READERS`; empty if there is none."""
    if settings.requirements is not None:
        listed = _requirements(root, settings)
        assert listed is not None
        return listed
    for method in _READERS:
        if method != "environment" and (listed := _read_as(method, root, settings)):
            return listed
    if listed := requirements_files.read(root) or requirements_files.beside(root, settings.script):
        return listed
    if (root / "Pipfile").is_file():
        raise DependencyError("Pipfile has no Pipfile.lock beside it", where=root, next_step="Create it: pipenv lock")
    return Requirements()


def _require_known_settings(root: Path, settings: Settings, listed: Requirements) -> None:
    """Rejects extras and groups of a list that has none."""
    for key, values, known in (
        ("extras", settings.extras, _WITH_EXTRAS),
        ("groups", settings.groups, _WITH_GROUPS),
    ):
        if values and listed.method not in known:
            raise DependencyError(
                f"{key} = {list(values)} has no effect: {listed.method} is frozen, which has no {key}",
                where=root / "pyproject.toml",
                next_step='Delete it, or set freeze = "pyproject.toml" under [tool.vertex-training]',
            )


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
    if path.suffix in {".yml", ".yaml"}:
        return conda.of_environment(path, name, settings)
    if path.suffix == ".toml":
        return replace(pylock.read(root, path), method=name)
    if conda.is_export(text := decoded(path, name)):
        return conda.of_export(path, text, settings)
    return replace(read_file(root, path), method=name)


def _pyproject(root: Path, settings: Settings) -> Requirements | None:
    listed = pyproject.read(root, settings)
    if listed is None and _is_dynamic(root):
        listed = setup_files.built(root, pyproject.NAME, settings)
    return workspace.with_sources(root, listed) if listed else None


def _is_dynamic(root: Path) -> bool:
    """Whether only the build of the project tells its dependencies, and no older file of setuptools lists them."""
    project = pyproject.document(root).get("project", {})
    older = any((root / name).is_file() for name in ("setup.cfg", "setup.py"))
    return "dependencies" in project.get("dynamic", ()) and not older


def _pylock(root: Path, settings: Settings) -> Requirements | None:  # noqa: ARG001 - all readers have one signature
    path = root / "pylock.toml"
    return pylock.read(root, path) if path.is_file() else None


def _poetry(root: Path, settings: Settings) -> Requirements | None:
    path = root / "poetry.lock"
    return poetry.read(root, path, settings) if path.is_file() else None


def _pipfile(root: Path, settings: Settings) -> Requirements | None:
    return pipfile.read(root, settings.groups)


def _script(root: Path, settings: Settings) -> Requirements | None:
    return script_block.read(root, settings.script)


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


Reader = Callable[[Path, Settings], Requirements | None]
_READERS: Mapping[str, Reader] = {
    "uv.lock": uv_lock.read,
    "pylock.toml": _pylock,
    "poetry.lock": _poetry,
    "pdm.lock": pdm.read,
    "Pipfile.lock": _pipfile,
    "requirements.txt": _requirements,
    "pyproject.toml": _pyproject,
    "conda": conda.read,
    "setup.cfg": setup_files.read_setup_cfg,
    "setup.py": setup_files.read_setup_py,
    "script": _script,
    "environment": _environment,
}
"""Reader of each kind of list, in the order in which lists are looked for."""

_HOW_TO_CREATE = {
    "uv.lock": "Create it: uv lock",
    "pylock.toml": "Create it: uv export --format pylock.toml -o pylock.toml, or pip lock",
    "poetry.lock": "Create it: poetry lock",
    "pdm.lock": "Create it: pdm lock",
    "Pipfile.lock": "Create it: pipenv lock",
    "requirements.txt": "Create it: pip freeze > requirements.txt",
    "pyproject.toml": "List the dependencies under [project] in pyproject.toml",
    "conda": "Create it: conda env export --no-builds > environment.yml",
    "setup.cfg": "List the dependencies in install_requires in setup.cfg",
    "setup.py": "List the dependencies in install_requires in setup.py",
    "script": "Add a block to the script: uv add --script SCRIPT PACKAGE",
    "environment": "Activate the environment that has the packages",
}
