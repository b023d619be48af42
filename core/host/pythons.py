"""The Python interpreters of this machine: on the PATH, of version managers, and those that uv keeps."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_SECONDS = 30
_PROBE = "import sys; print(sys.version_info[0], sys.version_info[1], sep='.'); print(sys.executable)"
_MANAGERS = (
    ("PYENV_ROOT", ".pyenv", "versions"),
    ("ASDF_DATA_DIR", ".asdf", "installs/python"),
    ("MISE_DATA_DIR", ".local/share/mise", "installs/python"),
)
"""Version managers, each with its variable, its folder below the home folder, and where the versions lie in it. What
they put on the PATH starts only the version that is selected at the moment."""


def find_python(version: str) -> Path | None:
    """The program of a Python of this minor version, such as "3.12"; None if this machine has none.

    Nothing is downloaded.
    """
    if not re.fullmatch(r"3\.\d{1,2}", version):
        return None
    return next((found for candidate in _candidates(version) if (found := _probe(candidate, version))), None)


def own_python() -> Path:
    """The Python that runs this program; not that of its virtual environment, which may be removed."""
    base = Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    return (base if base.is_file() else Path(sys.executable)).resolve()


def _candidates(version: str) -> Iterator[str]:
    name = f"python{version}"
    if found := shutil.which(name):
        yield found
    for variable, folder, versions in _MANAGERS:
        home = Path(os.environ.get(variable) or Path.home() / folder, versions)
        yield from map(str, sorted(home.glob(f"{version}.*/bin/{name}"), reverse=True))
    from uv import find_uv_bin

    try:
        done = subprocess.run(
            [find_uv_bin(), "python", "find", "--no-python-downloads", "--no-project", version],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return
    if done.returncode == 0:
        yield done.stdout.strip()


def _probe(candidate: str, version: str) -> Path | None:
    """The Python that a program starts, if it has the version; a version manager's shim may start none."""
    command = [candidate, "-I", "-c", _PROBE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.splitlines()
    return Path(lines[1]).resolve() if done.returncode == 0 and lines[0] == version else None
