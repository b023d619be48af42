"""Adds the script that is made from a notebook to the project's files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path

from ...core.atomic_files import write_atomic
from ..settings.notebooks.notebook import read_notebook
from ..settings.settings import Settings
from .project_file import ProjectFile


def with_notebook_script(files: Sequence[ProjectFile], settings: Settings, cache: Path) -> tuple[ProjectFile, ...]:
    """The files, and the script made from the notebook if the project trains by one.

    Args:
        files: The project's files, sorted.
        settings: The project's settings.
        cache: Folder that keeps the script.

    Raises:
        ProjectError: The notebook can't be converted.
    """
    entry = settings.starts
    if entry.kind != "notebook":
        return tuple(files)
    text = read_notebook(settings.root / entry.notebook, in_folder="/" in entry.notebook).text.encode()
    path = cache / "notebooks" / f"{hashlib.sha256(text).hexdigest()}.py"
    write_atomic(path, text)
    template = next(file for file in files if file.path == entry.notebook)
    script = template._replace(path=entry.file, location=str(path), size=len(text), executable=False, signature=None)
    return tuple(sorted((*files, script), key=itemgetter(0)))
