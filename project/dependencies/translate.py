"""Translation of a dependency list for linux/amd64: what happens to each line, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ...core.errors import DependencyError
from ..settings.settings import Settings
from . import accelerators, local_sources, platforms
from .formats import conda_names
from .formats.requirements_txt import Line, Requirements
from .local_sources import Build

Action = Literal["kept", "replaced", "built", "dropped", "added"]

_OWN = "prefect-vertex-training"
_OWN_REASON = "this tool, which the job doesn't use"
_CONDA_BUILT = re.compile(r"@ file:.*/(croot|feedstock_root|conda-bld|work)(/|$)")
_CONDA = re.compile(r"^([A-Za-z0-9_.-]+)=(\d[^=\s]*)(=\S+)?$")


@dataclass(frozen=True, slots=True)
class Entry:
    """What was done with one line.

    Attributes:
        place: `file:line`.
        line: The text in the list.
        action: Kept as it is, replaced by `result`, built as a wheel that is shipped, dropped, or added.
        result: The replacement; empty for a line that was kept, dropped or added.
        reason: Why; empty for a line that was kept.
    """

    place: str
    line: str
    action: Action
    result: str = ""
    reason: str = ""

    def __str__(self) -> str:
        """One line for a log."""
        what = {"kept": "kept", "dropped": "dropped", "built": f"built as {self.result}", "added": "added"}
        return f"{self.line} ({self.place}) {what.get(self.action, f'-> {self.result}')}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Translation of a dependency list.

    Attributes:
        method: Origin of the list, such as "requirements.txt".
        entries: What was done with each line, in the order of the list.
        requirements: The requirements that uv resolves.
        constraints: Limits for versions of packages that may not be required.
        options: Indexes and folders of wheels, as lines of a requirements file.
        builds: Packages to build as wheels before resolving.
        hashes: Allowed sha256 by canonical name; a package without an entry may have any.
        lines: The lines of the list.
    """

    method: str
    entries: tuple[Entry, ...]
    requirements: tuple[str, ...]
    constraints: tuple[str, ...]
    options: tuple[str, ...]
    builds: tuple[Build, ...]
    hashes: Mapping[str, frozenset[str]]
    lines: tuple[Line, ...]

    @property
    def changes(self) -> tuple[Entry, ...]:
        """The entries of lines that were not kept as they are."""
        return tuple(entry for entry in self.entries if entry.action != "kept")


def make_plan(
    root: Path, settings: Settings, listed: Requirements, installed: Mapping[str, str], known: str = ""
) -> Plan:
    """Decides what to do with every line.

    Args:
        root: The project's folder, resolved.
        settings: The project's settings.
        listed: The project's dependency list.
        installed: Versions in the user's own Python, for lines without a version.
        known: Indexes in uv's own settings, as text.

    Raises:
        DependencyError: A line can't be used in the cloud, or a job with a GPU would get a CPU-only build; it names
            file and line.
    """
    return _Planner(root, settings, listed, installed, known).plan()


@dataclass(frozen=True, slots=True)
class _Step:
    """The decision on one line: the action, its reason, and the requirements for uv."""

    action: Action
    reason: str = ""
    texts: tuple[str, ...] = ()
    build: Build | None = None
    result: str = ""


class _Planner:
    """Makes the plan of one list."""

    def __init__(
        self, root: Path, settings: Settings, listed: Requirements, installed: Mapping[str, str], known: str
    ) -> None:
        self._root = root
        self._settings = settings
        self._listed = listed
        self._installed = installed
        self._known = known
        self._environment = platforms.marker_environment(settings.python)

    def plan(self) -> Plan:
        entries: list[Entry] = []
        texts: list[str] = []
        constraints: list[str] = []
        builds: list[Build] = []
        for line in self._listed.lines:
            step = self._step(line)
            if line.constraint:
                constraints += [text for text in step.texts if "@" not in text]
                continue
            entries.append(_entry(line, step))
            texts += step.texts
            builds += [step.build] if step.build else []
        entries += [Entry(line.place, line.text, "dropped", "", reason) for line, reason in self._listed.lost]
        added = accelerators.indexes(texts, "\n".join((*self._listed.options, self._known)))
        entries += [Entry(self._listed.method, option, "added", "", reason) for option, reason in added]
        accelerators.refuse_cpu_only(texts, self._listed, self._settings)
        return Plan(
            self._listed.method,
            tuple(entries),
            tuple(dict.fromkeys(texts)),
            tuple(constraints),
            (*self._listed.options, *(option for option, _ in added)),
            tuple(builds),
            self._listed.hashes,
            self._listed.lines,
        )

    def _step(self, line: Line) -> _Step:
        if self._of_conda and (line.name or "") in conda_names.CONDA_ONLY:
            return _Step("dropped", conda_names.not_on_pypi(line.name or "") or "")
        if step := self._from_elsewhere(line):
            return step
        parsed = _parsed(line)
        if parsed is None:
            return _Step("kept", texts=(line.text,))
        if reason := self._left_out(parsed, line):
            return _Step("dropped", reason)
        if other := platforms.counterpart(parsed) or accelerators.counterpart(parsed):
            return _Step("replaced", other.reason, (other.text,))
        return _Step("kept", texts=(line.text,))

    def _left_out(self, wanted: Requirement, line: Line) -> str | None:
        """Why a line is left out; None if it counts.

        Raises:
            DependencyError: It names Python itself and excludes the project's version.
        """
        if canonicalize_name(wanted.name) == _OWN:
            return _OWN_REASON
        is_python = canonicalize_name(wanted.name) == "python"
        if not is_python and (reason := platforms.only_elsewhere(wanted.name)):
            return reason
        if wanted.marker is not None and not wanted.marker.evaluate(self._environment):
            return f"only for {wanted.marker}"
        if not is_python:
            return None
        python = self._settings.python
        if any(wanted.specifier.contains(f"{python}.{patch}") for patch in (0, 99)):
            return f"the version of Python is the project's own, {python}"
        raise DependencyError(
            f"{line.text} excludes Python {python}",
            where=line.place,
            next_step="Set python under [tool.vertex-training] in pyproject.toml to a version that it allows",
        )

    def _from_elsewhere(self, line: Line) -> _Step | None:
        """The decision on a line that names a folder, a file or a repository; None for any other line."""
        source = local_sources.parse(line, self._root)
        if source is None:
            return None
        applies = not source.marker or source.applies(self._environment)
        if source.name == _OWN or not applies:
            return _Step("dropped", _OWN_REASON if applies else f"only for {source.marker}")
        if source.is_project(self._root, self._own_name):
            own = local_sources.own_dependencies(self._root, source.extras)
            if own is not None:
                return _Step("replaced" if own else "dropped", "the project's own code is in the image already", own)
        if source.exists or source.url:
            build = source.build()
            if build is None:  # a wheel already
                return _Step("kept", texts=(source.requirement(source.path),))
            return _Step("built", source.reason, (), build, build.title)
        return self._pinned(line, source)

    def _pinned(self, line: Line, source: local_sources.Source) -> _Step:
        """The decision on a missing file or folder: its version, from its address or the user's own Python."""
        version = source.version or self._installed.get(source.name or "")
        if source.name is None or version is None:
            raise source.missing_error(line)
        where = "its address names" if source.version else "is installed here"
        marker = f" ; {source.marker}" if source.marker else ""
        return _Step(
            "replaced", f"the file is not here: the version that {where}", (f"{source.named()}=={version}{marker}",)
        )

    @cached_property
    def _of_conda(self) -> bool:
        """Whether pip froze the list in a conda environment, whose packages have paths of conda's build machines."""
        return any(_CONDA_BUILT.search(line.text) for line in self._listed.lines)

    @cached_property
    def _own_name(self) -> str | None:
        return local_sources.project_name(self._root)


def _entry(line: Line, step: _Step) -> Entry:
    """The report on a line; one that was translated from conda counts as replaced."""
    stays = step.action in {"kept", "dropped"}
    result = "" if stays else step.result or ", ".join(step.texts)
    if step.action == "kept" and line.origin:
        return Entry(line.place, line.origin, "replaced", line.text, "pip's counterpart")
    return Entry(line.place, line.origin or line.text, step.action, result, step.reason)


def _parsed(line: Line) -> Requirement | None:
    """The requirement; None if only uv can read it."""
    if "${" in line.text:
        return None
    try:
        return Requirement(line.text)
    except InvalidRequirement:
        if re.match(r"https?://", line.text):
            return None
        raise DependencyError(
            f"{line.text} is not a requirement", where=line.place, next_step=_rewritten(line.text)
        ) from None


def _rewritten(text: str) -> str:
    if conda := _CONDA.match(text):
        return f"That is conda's form; write {conda[1]}=={conda[2]}"
    if installed := re.fullmatch(r"[!%]?\s*(?:python3? -m )?pip3? install (.+)", text):
        return f"Write only what is installed: {installed[1]}"
    if re.fullmatch(r"Package\s+Version|[\w.-]+\s+\d[\w.+!]*", text):
        return "That is the table of pip list; write the list with pip freeze > requirements.txt"
    return "Write it as NAME==VERSION, NAME>=VERSION or NAME"
