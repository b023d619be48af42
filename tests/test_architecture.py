"""The lines of the design that imports can break."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "core": set(),
    "project": {"core"},
    "images": {"core"},
    "vertex": {"core", "local_vertex"},
    "local_vertex": {"core", "images"},
    "blocks": {"core", "images", "vertex"},
    "tasks": {"core", "project", "images", "vertex", "blocks"},
    "flows": {"core", "project", "images", "vertex", "blocks", "tasks"},
    "deployments": {"core", "project", "blocks", "flows"},
    "cli": {"core", "project", "images", "local_vertex", "blocks", "tasks", "flows", "deployments"},
}
ENGINES = ["core", "project", "images", "vertex", "local_vertex"]


def imports(folder: str) -> Iterator[tuple[str, str]]:
    """Each absolute module name that a file of the folder imports, with the file's place."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        package = ["prefect_vertex_training", *path.relative_to(ROOT).parent.parts]
        for node in ast.walk(ast.parse(path.read_text())):
            where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import):
                yield from ((alias.name, where) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level:
                stem = package[: len(package) - node.level + 1]
                names = [node.module] if node.module else [alias.name for alias in node.names]
                yield from ((".".join([*stem, name]), where) for name in names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module, where


@pytest.mark.parametrize("folder", ENGINES)
def test_engines_know_no_prefect(folder: str) -> None:
    """An engine is usable without Prefect."""
    assert [(name, where) for name, where in imports(folder) if name.split(".")[0] == "prefect"] == []


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_dependencies_point_one_way(folder: str) -> None:
    """Flows -> tasks -> blocks and engines -> core."""
    allowed = MAY_IMPORT[folder] | {folder}
    ours = [(name.split("."), where) for name, where in imports(folder) if name.startswith("prefect_vertex_training.")]

    assert [(".".join(parts), where) for parts, where in ours if parts[1] not in allowed] == []


def test_every_folder_with_code_is_packaged() -> None:
    """A new folder that pyproject.toml forgets would be missing from the wheel."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {
        "prefect_vertex_training." + ".".join(path.parent.relative_to(ROOT).parts)
        for top in MAY_IMPORT
        for path in (ROOT / top).rglob("__init__.py")
    }

    assert set(settings["packages"]) == folders | {"prefect_vertex_training"}


def test_pins_name_no_place() -> None:
    """constraints.txt holds names and versions, nothing to download from."""
    assert "://" not in (ROOT / "constraints.txt").read_text()
