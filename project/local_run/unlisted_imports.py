"""Imports of a script that its dependency list does not cover, although the user's own Python has them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution
from pathlib import Path

from packaging.utils import canonicalize_name

from ..dependencies.verified import closure, installed_packages


def not_listed(root: Path, script: str, listed: Sequence[str], sites: Sequence[Path]) -> dict[str, str]:
    """Modules that the script imports and the listed packages don't provide, each with the package that does.

    An import inside `try` counts as optional. A module that is not installed at all is not reported: the local run
    fails because of it.

    Args:
        root: The project's folder.
        script: The script's path, relative to the project.
        listed: Canonical names of the listed packages.
        sites: The `site-packages` folders of the user's Python.
    """
    installed = installed_packages(sites)
    provided = closure(listed, installed)
    owners: dict[str, list[str]] = {}
    for found in installed.values():
        for module in _modules(found):
            owners.setdefault(module, []).append(found.name)
    missing: dict[str, str] = {}
    for module in sorted(_imported(root, script)):
        packages = owners.get(module, [])
        if packages and provided.isdisjoint(map(canonicalize_name, packages)):
            missing[module] = packages[0]
    return missing


def _modules(found: Distribution) -> set[str]:
    """The top-level modules that a package installs."""
    if top := found.read_text("top_level.txt"):
        return set(top.split())
    tops = {Path(path.parts[0]).stem for path in found.files or () if path.suffix in {".py", ".so"}}
    return {top.partition(".")[0] for top in tops}


def _imported(root: Path, script: str) -> set[str]:
    """Top-level modules that the script imports itself or through the project's own modules."""
    folders = [(root / script).parent, root, root / "src"]
    names: set[str] = set()
    seen: set[Path] = set()
    waiting = [root / script]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for module in _imports_of(path):
            own = [file for folder in folders for file in _files(folder, module)]
            waiting += own
            if not own and not (root / module.partition(".")[0]).is_dir():
                names.add(module.partition(".")[0])
    return names - sys.stdlib_module_names


def _files(folder: Path, module: str) -> Iterator[Path]:
    """The files that importing a module from `folder` reads."""
    place = folder.joinpath(*module.split("."))
    candidates = (place.with_suffix(".py"), place / "__init__.py", folder / module.partition(".")[0] / "__init__.py")
    return (path for path in candidates if path.is_file())


def _imports_of(path: Path) -> Iterator[str]:
    try:
        nodes: list[ast.AST] = [ast.parse(path.read_bytes())]
    except (OSError, SyntaxError, ValueError):
        return
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif not isinstance(node, ast.Try) and not _is_type_checking(node):
            nodes += ast.iter_child_nodes(node)


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
