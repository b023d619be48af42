"""The project's own Python files that a script runs: itself and what it imports, directly or through others."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from ..files.project_file import ProjectFile


def own_sources(files: Sequence[ProjectFile], script: str) -> list[Path]:
    """The files that the script and its imports read, the script first.

    Args:
        files: The project's files.
        script: The script's path in the project; a path that isn't there gives no files.
    """
    known = {file.path: file.source for file in files if file.path.endswith(".py")}
    found: list[str] = []
    waiting = [script] if script in known else []
    while waiting:
        path = waiting.pop(0)
        if path not in found:
            found.append(path)
            waiting += _imports(path, known)
    return [known[path] for path in found]


def _imports(path: str, known: Mapping[str, Path]) -> Iterator[str]:
    folder = PurePosixPath(path).parent
    try:
        tree = ast.parse(known[path].read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files((folder, PurePosixPath(), PurePosixPath("src")), alias.name, known)
        elif isinstance(node, ast.ImportFrom):
            folders = [folder, PurePosixPath(), PurePosixPath("src")]
            if node.level:
                folders = [PurePosixPath(*folder.parts[: len(folder.parts) - node.level + 1])]
            for name in (node.module or "", *(f"{node.module or ''}.{alias.name}" for alias in node.names)):
                yield from _files(folders, name.strip("."), known)


def _files(folders: Sequence[PurePosixPath], module: str, known: Mapping[str, Path]) -> Iterator[str]:
    for folder in folders if module else ():
        place = folder.joinpath(*module.split("."))
        for path in (f"{place}.py", f"{place}/__init__.py"):
            if path in known:
                yield path
