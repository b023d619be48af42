"""Reads the dependencies of setuptools' older files: setup.cfg, and setup.py by the metadata that it builds."""

from __future__ import annotations

import ast
import configparser
import shutil
import tempfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

from ....core.errors import DependencyError
from ...settings.settings import Settings
from .. import uv
from ..formats.requirements_txt import Line, Requirements, decoded, package_of

_LARGE = 1_000_000
"""Bytes; larger files are data, which no metadata is made from."""


def read_setup_cfg(root: Path, settings: Settings) -> Requirements | None:
    """Reads `install_requires` in setup.cfg, and the chosen extras; None if it lists nothing.

    Raises:
        DependencyError: The file can't be read.
    """
    path = root / "setup.cfg"
    if not path.is_file():
        return None
    text = decoded(path, path.name)
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise DependencyError(f"can't be read: {error.message}", where=path, next_step="Fix that line") from error
    value = parser.get("options", "install_requires", fallback="")
    if value.startswith("file:"):
        files = [root / name.strip() for name in value.removeprefix("file:").split(",")]
        value = "\n".join(decoded(file, file.name) for file in files)
    items = [value, *(parser.get("options.extras_require", extra, fallback="") for extra in settings.extras)]
    return _listed(path.name, text, [line for item in items for line in item.splitlines()])


def read_setup_py(root: Path, settings: Settings) -> Requirements | None:
    """Reads `install_requires` of setup.py: from its source if it stands there, else from the metadata it builds.

    Raises:
        DependencyError: The metadata can't be built.
    """
    path = root / "setup.py"
    if not path.is_file():
        return None
    text = decoded(path, path.name)
    if "install_requires" not in text and "setup_requires" not in text and "pbr" not in text:
        return None
    items = None if settings.extras else _literal(text)
    return built(root, path.name, settings) if items is None else _listed(path.name, text, items)


def built(root: Path, name: str, settings: Settings) -> Requirements | None:
    """Reads the requirements in the metadata that the build of the project makes; None if there are none.

    Args:
        root: The project's folder.
        name: The file that decides the metadata.
        settings: The project's settings.

    Raises:
        DependencyError: The metadata can't be built.
    """
    return _listed(name, decoded(root / name, name), _built_requirements(root, name, settings))


def _listed(name: str, text: str, items: list[str]) -> Requirements | None:
    stripped = [item.partition(" #")[0].strip() for item in items]
    lines = [
        Line(name, text[: max(text.find(item), 0)].count("\n") + 1, item, package_of(item))
        for item in stripped
        if item and not item.startswith("#")
    ]
    return Requirements(name, tuple(lines)) if lines else None


def _literal(text: str) -> list[str] | None:
    """The list in `setup(install_requires=...)`, if it is written there or in a variable of the module."""
    try:
        module = ast.parse(text)
    except SyntaxError:
        return None
    assigned = {
        target.id: node.value
        for node in module.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(module):
        for keyword in node.keywords if isinstance(node, ast.Call) else ():
            if keyword.arg == "install_requires":
                value = keyword.value
                value = assigned.get(value.id, value) if isinstance(value, ast.Name) else value
                return _texts(value)
    return None


def _texts(node: ast.expr) -> list[str] | None:
    try:
        found = ast.literal_eval(node)
    except (ValueError, TypeError):
        return None
    good = isinstance(found, (list, tuple)) and all(isinstance(item, str) for item in found)
    return [str(item) for item in found] if good else None


def _built_requirements(root: Path, name: str, settings: Settings) -> list[str]:
    """The requirements in the metadata of the wheel that is built from a copy of the project."""
    with tempfile.TemporaryDirectory(prefix="vertex-freeze-") as folder:
        copy, out = Path(folder, "project"), Path(folder, "out")
        shutil.copytree(root, copy, ignore=_left_out, symlinks=True)
        finished = uv.run(["build", "--wheel", "--out-dir", str(out), str(copy)], cwd=copy)
        wheel = next(out.glob("*.whl"), None) if out.is_dir() else None
        if finished.returncode != 0 or wheel is None:
            message = (finished.stderr.strip().splitlines() or ["there is no wheel"])[-1].strip()
            raise DependencyError(
                f"the metadata of {name} can't be built: {message}",
                where=root / name,
                next_step="List the dependencies in requirements.txt, or freeze what is installed: "
                "--freeze environment",
                detail=finished.stderr.strip(),
            )
        with zipfile.ZipFile(wheel) as archive:
            metadata = next(item for item in archive.namelist() if item.endswith(".dist-info/METADATA"))
            headers = HeaderParser().parsestr(archive.read(metadata).decode("utf-8"))
    found: list[str] = headers.get_all("Requires-Dist") or []
    return [_without_extra(item, settings) for item in found if _is_chosen(item, settings)]


def _is_chosen(item: str, settings: Settings) -> bool:
    marker = item.partition(";")[2]
    return "extra ==" not in marker or any(f'extra == "{extra}"' in marker for extra in settings.extras)


def _without_extra(item: str, settings: Settings) -> str:
    text, _, marker = item.partition(";")
    for extra in settings.extras:
        marker = marker.replace(f' and extra == "{extra}"', "").replace(f'extra == "{extra}"', "")
    return f"{text.strip()} ; {marker.strip()}" if marker.strip() else text.strip()


def _left_out(folder: str, names: list[str]) -> set[str]:
    patterns = shutil.ignore_patterns(
        ".git", ".venv", "venv", "__pycache__", "*.egg-info", "build", "dist", ".tox", "node_modules"
    )
    large = {name for name in names if (file := Path(folder, name)).is_file() and file.stat().st_size > _LARGE}
    return patterns(folder, names) | large
