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
    owners = owners_of(sites)
    unlisted: dict[str, str] = {}
    for module in sorted(_imported(root, script)):
        packages = owners.get(module, [])
        if packages and provided.isdisjoint(map(canonicalize_name, packages)):
            unlisted[module] = packages[0]
    return unlisted


def missing(root: Path, script: str, sites: Sequence[Path]) -> list[str]:
    """Modules that the script and the project's modules import and that the environment in `sites` doesn't have.

    Imports inside `try`, `if` or a function of another module don't count: they may never run. Namespace packages are
    named with their part (google.cloud.storage).
    """
    return lacking(sorted(_imported(root, script, surely=True)), sites)


def lacking(modules: Sequence[str], sites: Sequence[Path]) -> list[str]:
    """Those of the modules that the environment in `sites` doesn't have."""
    return [name for name in modules if not _is_there(name, sites)]


def owners_of(sites: Sequence[Path]) -> dict[str, list[str]]:
    """The installed packages by top-level module."""
    owners: dict[str, list[str]] = {}
    for found in installed_packages(sites).values():
        for module in _modules(found):
            owners.setdefault(module, []).append(found.name)
    return owners


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
NAMESPACES = frozenset(("google", "ruamel", "azure"))
"""Top-level names that many packages share."""


def _is_there(module: str, sites: Sequence[Path]) -> bool:
    parts = module.split(".")
    top = parts if parts[0] in NAMESPACES else parts[:1]
    return any((place := site.joinpath(*top)).is_dir() or any(place.parent.glob(f"{place.name}.*")) for site in sites)


def _modules(found: Distribution) -> set[str]:
    """The top-level modules that a package installs."""
    if top := found.read_text("top_level.txt"):
        return set(top.split())
    tops = {Path(path.parts[0]).stem for path in found.files or () if path.suffix in {".py", ".so"}}
    return {top.partition(".")[0] for top in tops}


def _imported(root: Path, script: str, *, surely: bool = False) -> set[str]:
    """Top-level modules that the script imports itself or through the project's own modules.

    With `surely`, imports under a condition don't count, and modules of namespace packages keep the part that says
    which package has them.
    """
    folders = [(root / script).parent, root, root / "src"]
    names: set[str] = set()
    seen: set[Path] = set()
    waiting = [root / script]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for module in _imports_of(path, is_script=path == root / script, surely=surely):
            own = [file for folder in folders for file in _files(folder, module)]
            waiting += own
            if not own and not (root / module.partition(".")[0]).is_dir():
                names.add(_named(module) if surely else module.partition(".")[0])
    longer = {name for name in names for other in names if other.startswith(f"{name}.")}
    return names - longer - sys.stdlib_module_names


def _named(module: str) -> str:
    """A module's top-level name; for namespace packages the part that one package provides."""
    parts = module.split(".")
    if parts[0] not in NAMESPACES:
        return parts[0]
    return ".".join(parts[: 3 if parts[:2] == ["google", "cloud"] else 2])


def _files(folder: Path, module: str) -> Iterator[Path]:
    """The files that importing a module from `folder` reads."""
    place = folder.joinpath(*module.split("."))
    top = folder / module.partition(".")[0]
    candidates = (place.with_suffix(".py"), place / "__init__.py", top.with_suffix(".py"), top / "__init__.py")
    return (path for path in candidates if path.is_file())


def _imports_of(path: Path, *, is_script: bool, surely: bool) -> Iterator[str]:
    """The modules that a file imports; of functions only those of the script, and not of those that nothing calls."""
    try:
        module = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    used = {node.id for node in ast.walk(module) if isinstance(node, ast.Name)}
    nodes: list[ast.AST] = [node for node in module.body if not _is_unused(node, used, is_script=is_script)]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif not _may_not_run(node, surely=surely):
            nodes += [child for child in ast.iter_child_nodes(node) if is_script or not isinstance(child, _FUNCTIONS)]


def _may_not_run(node: ast.AST, *, surely: bool) -> bool:
    """Whether what is in it may not run, or may fail; with `surely` that counts for every condition but main's."""
    if isinstance(node, ast.If) and surely and "__main__" not in ast.dump(node.test):
        return True
    return isinstance(node, ast.Try) or _is_type_checking(node) or _suppresses(node)


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def _suppresses(node: ast.AST) -> bool:
    """Whether it is `with contextlib.suppress(...)`, in which an import is optional."""
    return isinstance(node, ast.With) and any("suppress" in ast.dump(item.context_expr) for item in node.items)


def _is_unused(node: ast.AST, used: set[str], *, is_script: bool) -> bool:
    """Whether it is a function: of another module, or one without decorators that the script doesn't mention again."""
    if not isinstance(node, _FUNCTIONS):
        return False
    return not is_script or (not node.decorator_list and node.name not in used)
