"""Chooses how a project's training is started: a script, a module, a console script, a notebook or a command."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.errors import ProjectError
from .candidates import (
    TIERS,
    console_scripts,
    file_of,
    has_relative_import,
    in_dockerfile,
    likeliest,
    likely_scripts,
    module_of,
    other_language,
    runs_as_module,
    scripts_in_packages,
    scripts_in_root,
    serves,
    trainers,
)
from .entry import Entry
from .notebooks.notebook import is_notebook, read_notebook
from .training_tasks import command_of_library, in_tasks

_TABLE = "under [tool.vertex-training] in pyproject.toml"
SET_SCRIPT = f'set script = "..." {_TABLE}'


def choose_entry(
    root: Path,
    document: Mapping[str, Any],
    *,
    script: str | None = None,
    module: str | None = None,
    command: tuple[str, ...] = (),
) -> Entry:
    """How the training is started: as the settings say, else the only candidate.

    Args:
        root: The project's folder.
        document: Its pyproject.toml.
        script: The setting `script`.
        module: The setting `module`.
        command: The setting `command`.

    Raises:
        ProjectError: What a setting names is missing, is not Python or is outside the project; or there are several
            candidates or none.
    """
    if module and (script or command):
        other = "script" if script else "command"
        raise ProjectError(
            f"module and {other} are both set", where=root / "pyproject.toml", next_step="Keep the one that trains"
        )
    if command:
        file = _checked(root, script) if script else _file_in_command(root, document, command)
        return Entry("command", file, command=_called(root, document, command))
    if module:
        return _module(root, module)
    if script:
        return _entry(root, _checked(root, script))
    return _found(root, document)


def _found(root: Path, document: Mapping[str, Any]) -> Entry:
    for tier in TIERS:
        found = [name for name in tier if (root / name).is_file() or (root / name).is_symlink()]
        if found == ["main.py"] and serves(root / "main.py") and trainers(root):
            continue  # an app; what trains has another name
        if len(found) > 1:
            raise ProjectError(
                f"{len(found)} files could be the training script: {' and '.join(found)}",
                where=root,
                next_step=f'Choose one: set script = "{found[0]}" {_TABLE}',
            )
        if found:
            return _entry(root, _checked(root, found[0]))
    found = _in_package(root, document) or _in_dockerfile(root) or _in_tasks(root, document)
    return found or _one_notebook(root) or _fail(root, document)


def _in_package(root: Path, document: Mapping[str, Any]) -> Entry | None:
    """The only console script, or the only module of a package that can't be run by its path."""
    scripts = console_scripts(root, document)
    if len(scripts) > 1:
        raise ProjectError(
            f"{len(scripts)} console scripts could be what trains: {', '.join(sorted(scripts))}",
            where=root,
            next_step=f'Choose one: set command = ["{likeliest(scripts)}"] {_TABLE}',
        )
    for target in scripts.values():
        return Entry("console-script", _console_file(root, target), target)
    found = [name for name in scripts_in_packages(root) if runs_as_module(root, name)]
    only = [name for name in found if not name.endswith("/__main__.py")] or found
    if len(only) > 1:
        raise ProjectError(
            f"{len(only)} modules could be what trains: {', '.join(module_of(root, name) for name in only[:5])}",
            where=root,
            next_step=f'Choose one: set module = "{module_of(root, only[0])}" {_TABLE}',
        )
    return Entry("module", only[0], module_of(root, only[0])) if only else None


def _in_dockerfile(root: Path) -> Entry | None:
    name = in_dockerfile(root)
    return _entry(root, _checked(root, name)) if name else None


def _in_tasks(root: Path, document: Mapping[str, Any]) -> Entry | None:
    """What the only program of the tasks named after training runs: `make train`, `pdm run train`."""
    found = in_tasks(root, document)
    if len(found) != 1:
        return None
    return _entry(root, _checked(root, found[0])) if (root / found[0]).is_file() else _module(root, found[0])


def _one_notebook(root: Path) -> Entry | None:
    notebooks = sorted(path.name for path in root.glob("*.ipynb"))
    if scripts_in_root(root) or scripts_in_packages(root) or len(notebooks) != 1:
        return None
    return _entry(root, _checked(root, notebooks[0]))


def _fail(root: Path, document: Mapping[str, Any]) -> Entry:
    found = likely_scripts(root)
    if command := command_of_library(root, document):
        step = f"Its task for training runs a library: set command = {json.dumps(command)} {_TABLE}"
    elif not found and (words := other_language(root)):
        step = f"If it is {words[1]}, set command = {json.dumps(words)} {_TABLE}"
    elif not found:
        step = f"Add a train.py, or {SET_SCRIPT}"
    elif len(found) == 1:
        step = f'If it is {found[0]}, set script = "{found[0]}" {_TABLE}'
    else:
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        step = f'There are {", ".join(found[:5])}{more}: choose one, as script = "{found[0]}" {_TABLE}'
    raise ProjectError(f"no training script: looked for {', '.join(TIERS[0])}", where=root, next_step=step)


def _entry(root: Path, name: str) -> Entry:
    """The entry of a file: a notebook, a script, or a module where its relative imports want one."""
    if is_notebook(name):
        read_notebook(root / name)
        return Entry("notebook", _script_name(root, name), notebook=name)
    if "/" in name and has_relative_import(root / name):
        return Entry("module", name, module_of(root, name))
    return Entry("script", name)


def _script_name(root: Path, notebook: str) -> str:
    """Where the script made from a notebook lies in the image: beside it, under a name that no file has."""
    plain = notebook.removesuffix(".ipynb")
    return f"{plain}_notebook.py" if (root / f"{plain}.py").exists() else f"{plain}.py"


def _module(root: Path, module: str) -> Entry:
    name, colon, _ = module.partition(":")
    file = file_of(root, name)
    if file is None:
        looked = name.replace(".", "/")
        raise ProjectError(
            f"there is no module {name}: looked for {looked}.py and {looked}/__main__.py, also in src/",
            where=root,
            next_step=f"Correct module {_TABLE}",
        )
    return Entry("console-script", file, module) if colon else Entry("module", file, module)


def _console_file(root: Path, target: str) -> str:
    module = target.partition(":")[0]
    file = file_of(root, module) or _package_file(root, module)
    if file is None:
        raise ProjectError(
            f"the console script {target} is not in the project: there is no {module.replace('.', '/')}.py",
            where=root / "pyproject.toml",
            next_step=f"Correct [project.scripts], or {SET_SCRIPT}",
        )
    return file


def _package_file(root: Path, module: str) -> str | None:
    path = module.replace(".", "/")
    names = (f"{folder}{path}/__init__.py" for folder in ("", "src/"))
    return next((name for name in names if (root / name).is_file()), None)


def _called(root: Path, document: Mapping[str, Any], command: tuple[str, ...]) -> tuple[str, ...]:
    """A command with a console script of the project replaced by what it calls: the image does not install it."""
    target = console_scripts(root, document).get(command[0])
    if target is None or (root / "Dockerfile").is_file():
        return command
    return (*Entry("console-script", "", target).typed(), *command[1:])


def _file_in_command(root: Path, document: Mapping[str, Any], command: tuple[str, ...]) -> str:
    """The project's file that a command runs; empty if it names none."""
    if target := console_scripts(root, document).get(command[0]):
        return _console_file(root, target)
    for index, word in enumerate(command):
        if word == "-m" and index + 1 < len(command) and (file := file_of(root, command[index + 1])):
            return file
        if not word.startswith(("-", "/")) and (root / word).is_file():
            return os.path.normpath(word)
    return ""


def _checked(root: Path, name: str) -> str:
    path = root / name
    if Path(name).is_absolute() or not path.resolve().is_relative_to(root):
        raise ProjectError(
            f"the script {name} is outside the project",
            where=root,
            next_step="Move it into the project: only the project's folder is sent to the cloud",
        )
    if path.is_symlink() and not path.exists():
        raise ProjectError(
            f"the script {name} is a link to {path.readlink()}, which does not exist",
            where=root,
            next_step="Fix the link",
        )
    if path.is_dir():
        raise ProjectError(f"the script {name} is a folder", where=root, next_step="Name the .py file in it")
    if not path.is_file():
        raise ProjectError(f"there is no script {name}", where=root, next_step=f"Add it, or {SET_SCRIPT}")
    if path.suffix not in {".py", ".ipynb"}:
        raise ProjectError(
            f"the script {name} is not a .py file",
            where=root,
            next_step=f'Name a .py file, or set command = ["bash", "{name}"] {_TABLE}',
        )
    return os.path.normpath(name)
