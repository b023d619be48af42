"""This machine's Python of a minor version, for images that bring none, and the environment made with it."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ....core.errors import ImageError
from ....images.layers import image_paths

_SHEBANG = f"#!{image_paths.INTERPRETER}".encode()
_MAX_SHEBANG = 127  # bytes that every kernel reads of a script's first line
_PROBE = "import sys; print(sys.version_info[0], sys.version_info[1], sep='.'); print(sys.executable)"


@functools.cache
def find_python(minor: str) -> Path:
    """A Python of that minor version on this machine; for an empty one, the Python that runs this.

    Raises:
        ImageError: There is none.
    """
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if not minor or minor == own:
        return Path(getattr(sys, "_base_executable", "") or sys.executable).resolve()
    if re.fullmatch(r"3\.\d{1,2}", minor):
        for candidate in _candidates(minor):
            found = _probe(candidate, minor)
            if found is not None:
                return found
    raise ImageError(
        f"the image needs Python {minor}, and this machine has none",
        where="local_vertex",
        next_step=f"Install it, as with `uv python install {minor}`, or build the image for Python {own}",
    )


def make_environment(root: Path, final: Path, python: Path) -> None:
    """Makes an unpacked environment one of this machine: its interpreter, its settings, its scripts' first lines.

    Args:
        root: The unpacked image.
        final: Where `root` will lie when it is used.
        python: What runs it.
    """
    venv = root / image_paths.VENV.lstrip("/")
    scripts = venv / "bin"
    scripts.mkdir(parents=True, exist_ok=True)
    for script in scripts.iterdir():
        if script.is_file() and not script.is_symlink():
            _point(script, final / image_paths.INTERPRETER.lstrip("/"))
    settings = f"home = {python.parent}\ninclude-system-site-packages = false\n"
    (venv / "pyvenv.cfg").write_text(settings)
    for name, target in (("python", str(python)), ("python3", "python")):
        (scripts / name).unlink(missing_ok=True)
        (scripts / name).symlink_to(target)


def _candidates(minor: str) -> Iterator[str]:
    name = f"python{minor}"
    if found := shutil.which(name):
        yield found
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    yield from map(str, sorted(pyenv.glob(f"{minor}.*/bin/{name}"), reverse=True))
    from uv import find_uv_bin

    try:
        done = subprocess.run(
            [find_uv_bin(), "python", "find", "--no-python-downloads", "--no-project", minor],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return
    if done.returncode == 0:
        yield done.stdout.strip()


def _probe(candidate: str, minor: str) -> Path | None:
    """What a program on the path really is: a shim may be there for a version that is not."""
    try:
        done = subprocess.run([candidate, "-I", "-c", _PROBE], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    said = done.stdout.splitlines()
    return Path(said[1]).resolve() if done.returncode == 0 and said[0] == minor else None


def _point(script: Path, interpreter: Path) -> None:
    content = script.read_bytes()
    if not content.startswith(_SHEBANG):
        return
    first, newline, rest = content.partition(b"\n")
    options = first.removeprefix(_SHEBANG)
    line = b"#!" + os.fsencode(interpreter) + options
    if len(line) > _MAX_SHEBANG or b" " in os.fsencode(interpreter):
        # What installers write for long paths: a shell line that Python reads as a string.
        quoted = b"'" + os.fsencode(interpreter).replace(b"'", b"'\"'\"'") + b"'"
        line = b"#!/bin/sh\n'''exec' " + quoted + options + b' "$0" "$@"\n' + b"' '''"
    temporary = script.with_name(f".{script.name}.new")
    temporary.write_bytes(line + newline + rest)
    temporary.chmod(script.stat().st_mode)
    temporary.replace(script)
