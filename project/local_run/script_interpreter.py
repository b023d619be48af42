"""Choice of the Python that runs the script: the user's own, or a clean environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..dependencies import interpreters
from ..dependencies.formats.requirements_txt import Requirements
from ..dependencies.verified import users_interpreter
from ..settings.settings import Settings
from .unlisted_imports import not_listed
from .virtualenv import environment

CLEAN = "a clean environment"


@dataclass(frozen=True, slots=True)
class Chosen:
    """The Python that runs the script.

    Attributes:
        path: The program.
        title: For people: its path, or `CLEAN`.
        warnings: What only this Python has, so that it will be missing in the cloud; one line each.
    """

    path: Path
    title: str
    warnings: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether it is an environment of the frozen dependencies alone."""
        return self.title == CLEAN


IMAGE = Chosen(Path("python"), "the project's image")
"""Stands for the Python in the image of the project's own Dockerfile."""


def choose_interpreter(
    root: Path, settings: Settings, listed: Requirements, *, cache: Path, log: Callable[[str], None]
) -> Chosen:
    """The user's own Python if it fits, unless the settings want a clean environment.

    Raises:
        DependencyError: The requirements can't be installed in a clean environment.
        ProjectError: The project's Python version is not on this machine.
        StorageError: The disk is full.
    """
    if settings.verify != "locked":
        own, reason = users_interpreter(root, settings, listed)
        if own:
            return Chosen(own.path, str(own.path), _unlisted_imports(root, settings, listed, own))
        if reason:
            log(f"{reason}: running in {CLEAN} instead")
    return Chosen(environment(root, settings, cache=cache, listed=listed, log=log), CLEAN)


def _unlisted_imports(
    root: Path, settings: Settings, listed: Requirements, own: interpreters.Interpreter
) -> tuple[str, ...]:
    """Warnings of imports that the dependency list does not cover."""
    if listed.conda or settings.base or (root / "Dockerfile").is_file():  # the project's own image may have them
        return ()
    names = [line.name for line in listed.lines if line.name and not line.constraint]
    missing = not_listed(root, settings.script, names, own.sites)
    return tuple(
        f"the script imports {module}, which {listed.method} does not list: add {package} to it"
        for module, package in missing.items()
    )
