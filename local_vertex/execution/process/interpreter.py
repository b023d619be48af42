"""Finds a Python of this machine for images that contain none, and adapts their virtual environment to it."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from ....core.errors import ImageError
from ....core.host.pythons import find_python, own_python
from ....images.layers import image_paths

_SHEBANG = f"#!{image_paths.INTERPRETER}".encode()
_MAX_SHEBANG = 127  # bytes of a script's first line that every kernel reads


class Interpreters:
    """The Pythons of this machine, by version; each is looked for once. Threads may share it."""

    def __init__(self) -> None:
        self._found: dict[str, Path] = {}
        self._lock = threading.Lock()

    def find(self, version: str) -> Path:
        """The program of a Python.

        Args:
            version: For example "3.11"; empty for the Python that runs this service.

        Raises:
            ImageError: This machine has no such Python.
        """
        with self._lock:
            if version not in self._found:
                self._found[version] = _find(version)
            return self._found[version]


def _find(version: str) -> Path:
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if not version or version == own:
        return own_python()
    if found := find_python(version):
        return found
    raise ImageError(
        f"the image needs Python {version}, and this machine has none",
        where="local_vertex",
        next_step=f"Install it, for example with `uv python install {version}`, or build the image for Python {own}",
    )


def make_environment(root: Path, final: Path, python: Path) -> None:
    """Points an unpacked virtual environment to a Python of this machine: its links, settings and scripts.

    Args:
        root: The unpacked image.
        final: Folder that `root` will be moved to.
        python: The Python to use.
    """
    venv = root / image_paths.VENV.lstrip("/")
    scripts = venv / "bin"
    scripts.mkdir(parents=True, exist_ok=True)
    for script in scripts.iterdir():
        if script.is_file() and not script.is_symlink():
            _replace_shebang(script, final / image_paths.INTERPRETER.lstrip("/"))
    settings = f"home = {python.parent}\ninclude-system-site-packages = false\n"
    (venv / "pyvenv.cfg").write_text(settings)
    for name, target in (("python", str(python)), ("python3", "python")):
        (scripts / name).unlink(missing_ok=True)
        (scripts / name).symlink_to(target)


def _replace_shebang(script: Path, interpreter: Path) -> None:
    content = script.read_bytes()
    if not content.startswith(_SHEBANG):
        return
    first, newline, rest = content.partition(b"\n")
    options = first.removeprefix(_SHEBANG)
    line = b"#!" + os.fsencode(interpreter) + options
    if len(line) > _MAX_SHEBANG or b" " in os.fsencode(interpreter):
        # The form that pip and uv use for long paths: a line for the shell that Python reads as a string.
        quoted = b"'" + os.fsencode(interpreter).replace(b"'", b"'\"'\"'") + b"'"
        line = b"#!/bin/sh\n'''exec' " + quoted + options + b' "$0" "$@"\n' + b"' '''"
    temporary = script.with_name(f".{script.name}.new")
    temporary.write_bytes(line + newline + rest)
    temporary.chmod(script.stat().st_mode)
    temporary.replace(script)
