"""Finds the user's Python interpreters and their installed packages by reading folders, without running them."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from ..settings.python_version import this_python
from .formats.requirements_txt import Line

_DISTRIBUTION = re.compile(r"^(?P<name>[^-]+)-(?P<version>[^-]+?)(?:-py[\d.]+)?\.(?:dist|egg)-info$")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python interpreter and its packages.

    Attributes:
        path: The program.
        python: Minor version, such as "3.11".
        sites: Its `site-packages` folders.
    """

    path: Path
    python: str
    sites: tuple[Path, ...]

    def installed(self) -> dict[str, str]:
        """Versions of the installed packages by canonical name."""
        # Names alone: a Path for each of some hundred entries would take several milliseconds, in every build.
        entries = sorted(name for site in self.sites if site.is_dir() for name in os.listdir(site))  # noqa: PTH208
        found = (match for entry in entries if (match := _DISTRIBUTION.match(entry)))
        return {canonicalize_name(match["name"]): match["version"] for match in found}

    def signature(self) -> str:
        """A hash of the interpreter and its installed packages."""
        facts = [str(self.path), self.python, *sorted(f"{name}=={it}" for name, it in self.installed().items())]
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()

    def unmet(self, lines: Sequence[Line]) -> str | None:
        """The first requirement that isn't met, in words; None if all are met."""
        installed = self.installed()
        return next((reason for line in lines if (reason := _unmet(line, installed))), None)


def interpreters(root: Path, variables: Mapping[str, str]) -> list[Interpreter]:
    """The interpreters with which the user may run the script, most likely first.

    These are the activated environment, the project's own, and the Python that runs this program.
    """
    named = [variables.get(name) for name in ("VIRTUAL_ENV", "CONDA_PREFIX")]
    folders = [Path(name) for name in named if name] + [root / ".venv", root / "venv"]
    found = [interpreter for folder in folders if (interpreter := _in_folder(folder))]
    return [*found, this_interpreter()]


def this_interpreter() -> Interpreter:
    """The Python that runs this program."""
    sites = (Path(folder) for folder in sys.path if folder.endswith(("site-packages", "dist-packages")))
    return Interpreter(Path(sys.executable), this_python(), tuple(sites))


def choose(
    root: Path, lines: Sequence[Line], python: str, variables: Mapping[str, str] = os.environ
) -> tuple[Interpreter | None, str]:
    """The first interpreter of that minor version that meets all requirements.

    Returns:
        The interpreter and "", or None and the reason why the most likely one can't be used.
    """
    reasons: list[str] = []
    for interpreter in interpreters(root, variables):
        if interpreter.python != python:
            reasons.append(f"{interpreter.path} is Python {interpreter.python}, and the project wants {python}")
        elif reason := interpreter.unmet(lines):
            reasons.append(f"{interpreter.path} {reason}")
        else:
            return interpreter, ""
    return None, reasons[0]


def conda_environment(variables: Mapping[str, str], python: str) -> Interpreter | None:
    """The activated conda environment, if it has that minor version."""
    folder = variables.get("CONDA_PREFIX")
    found = _in_folder(Path(folder)) if folder else None
    return found if found and found.python == python else None


def _in_folder(folder: Path) -> Interpreter | None:
    """The Python of a virtual or conda environment; None if there is none."""
    program = folder / "bin" / "python"
    if not program.exists():
        return None
    sites = sorted(folder.glob("lib/python3.*/site-packages"))
    if len(sites) != 1:
        return None  # left over from another Python version, or not an environment
    return Interpreter(program, sites[0].parent.name.removeprefix("python"), tuple(sites))


def _unmet(line: Line, installed: Mapping[str, str]) -> str | None:
    if line.name is None or line.constraint:
        return None
    try:
        wanted = Requirement(line.text)
        applies = wanted.marker is None or wanted.marker.evaluate()
    except (InvalidRequirement, UndefinedEnvironmentName):  # a folder or repository: every version counts
        wanted, applies = Requirement(line.name), True
    version = installed.get(line.name)
    if not applies or (version and _fits(wanted, version)):
        return None
    if version is None:
        return f"lacks {line.name}"
    return f"has {line.name} {version}, and {line.place} wants {wanted.specifier}"


def _fits(wanted: Requirement, version: str) -> bool:
    try:
        return wanted.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return False
