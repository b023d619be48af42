"""A project's requirements: where they are written, and the lines that can't travel to another machine."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Parsed
from packaging.utils import canonicalize_name

from ..core.errors import DependencyError
from .settings import Settings

_INCLUDE = re.compile(r"^(-r|--requirement|-c|--constraint)(?:\s+|=|(?<=-[rc]))(.+)$")
_EDITABLE = re.compile(r"^(-e|--editable)\b")
_VCS = re.compile(r"(^|@\s*)(git|hg|svn|bzr)\+")
_LOCAL = re.compile(r"^(\.{0,2}/|~|\.{1,2}$|[A-Za-z]:[\\/])|^[^@;\s\[]+(\.whl|\.tar\.gz|\.zip)(\s|$)")
_CONDA = re.compile(r"^([A-Za-z0-9_.-]+)=(\d[^=\s]*)(=\S+)?$")

_CONDA_STEP = "List what the script imports in requirements.txt: pip can't install conda packages"
_FOREIGN = {
    **dict.fromkeys(("environment.yml", "environment.yaml", "conda.yml", "conda.yaml"), _CONDA_STEP),
    "Pipfile": "Write it out: pipenv requirements > requirements.txt",
    "poetry.lock": "Write it out: poetry export --without-hashes -o requirements.txt",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One requirement as written.

    Attributes:
        file: Relative to the project, or absolute outside it.
        number: Counted from 1.
        text: Without comment, continuation lines joined.
        name: The package's canonical name; None where the line doesn't tell.
        constraint: It limits a version, and doesn't ask for the package.
    """

    file: str
    number: int
    text: str
    name: str | None = None
    constraint: bool = False

    @property
    def place(self) -> str:
        """As editors and terminals link it: `file:line`."""
        return f"{self.file}:{self.number}"


@dataclass(frozen=True, slots=True)
class Requirements:
    """Everything a project requires.

    Attributes:
        source: The file to hand to uv; None if the lines stand in pyproject.toml, or there are none.
        lines: All requirements of all files.
        texts: Each file that was read, with its content: what a lock depends on.
    """

    source: Path | None = None
    lines: tuple[Line, ...] = ()
    texts: dict[str, str] = field(default_factory=dict)


def read(root: Path, settings: Settings) -> Requirements:
    """Reads the requirements of the project and checks every line.

    Looked for in this order: the `requirements` setting, requirements.txt, `dependencies` of pyproject.toml.

    Raises:
        DependencyError: A file is missing or unreadable, or a line can't be frozen; names file and line.
    """
    if settings.requirements is not None and not (root / settings.requirements).is_file():
        raise DependencyError(
            f"there is no {settings.requirements}",
            where=root,
            next_step="Correct requirements under [tool.vertex-training] in pyproject.toml",
        )
    name = settings.requirements or "requirements.txt"
    if (root / name).is_file():
        reader = _Reader(root)
        reader.read(root / name, constraint=False)
        return Requirements(root / name, tuple(reader.lines), reader.texts)
    return _of_pyproject(root)


def _of_pyproject(root: Path) -> Requirements:
    path = root / "pyproject.toml"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    project = tomllib.loads(text).get("project", {})
    dependencies = project.get("dependencies")
    if not isinstance(dependencies, list) or not all(isinstance(item, str) for item in dependencies):
        if dependencies is not None:
            raise DependencyError("dependencies must be a list of texts", where=path, next_step="Correct that list")
        for name, step in _FOREIGN.items():
            if (root / name).is_file():
                raise DependencyError(f"{name} can't be frozen by pip", where=root, next_step=step)
        return Requirements()
    lines: list[Line] = []
    for dependency in dependencies:
        number = text[: max(text.find(dependency), 0)].count("\n") + 1
        lines.append(_checked(Line("pyproject.toml", number, dependency)))
    return Requirements(None, tuple(lines), {"pyproject.toml": text})


class _Reader:
    """Follows `-r` and `-c` from file to file, each file once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.lines: list[Line] = []
        self.texts: dict[str, str] = {}

    def read(self, path: Path, *, constraint: bool) -> None:
        name = self._name(path)
        if name in self.texts:
            return
        self.texts[name] = text = _decoded(path, name)
        for number, content in _logical_lines(text):
            include = _INCLUDE.match(content)
            if include:
                self._include(path, Line(name, number, content), include)
            elif content.startswith("-") and not _EDITABLE.match(content):
                continue  # an option: --index-url, --find-links, --hash; uv reads them itself
            else:
                self.lines.append(_checked(Line(name, number, content, constraint=constraint)))

    def _include(self, path: Path, line: Line, include: re.Match[str]) -> None:
        target = include[2].strip().strip("'\"")
        if re.match(r"https?://", target):
            return
        other = path.parent / target
        if not other.is_file():
            raise DependencyError(
                f"{line.text} names a file that does not exist",
                where=line.place,
                next_step="Correct the path: it counts from the folder of that file",
            )
        self.read(other, constraint=include[1] in {"-c", "--constraint"})

    def _name(self, path: Path) -> str:
        resolved = path.resolve()
        if resolved.is_relative_to(self._root):
            return resolved.relative_to(self._root).as_posix()
        return str(resolved)


def _decoded(path: Path, name: str) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DependencyError(
            f"{name} is not UTF-8 text",
            where=path,
            next_step="Save it as UTF-8; PowerShell's > writes UTF-16: pip freeze | Out-File -Encoding utf8",
        ) from error
    except OSError as error:
        raise DependencyError(f"can't read {name}: {error.strerror}", where=path) from error


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    r"""Lines with their numbers as pip reads them: `\` joins, ` #` starts a comment."""
    start, held = 0, ""
    for number, raw in enumerate(text.splitlines(), 1):
        start = start or number
        if raw.endswith("\\") and not raw.lstrip().startswith("#"):
            held += raw[:-1] + " "
            continue
        content = re.sub(r"(^|\s)#.*$", "", held + raw).strip()
        if content:
            yield start, content
        start, held = 0, ""
    if held.strip():
        yield start, held.strip()


def _checked(line: Line) -> Line:
    """The line with its package's name; raises where no other machine could install it."""
    text = line.text
    if problem := _untransportable(text):
        raise DependencyError(f"{text} {problem[0]}", where=line.place, next_step=problem[1])
    if "${" in text:
        return line  # expanded by uv
    bare = re.split(r"\s+--(?:hash|global-option|config-settings?)\b", text)[0]
    try:
        name = canonicalize_name(Parsed(bare).name)
    except InvalidRequirement:
        if re.match(r"https?://", bare):
            return line
        raise DependencyError(f"{text} is not a requirement", where=line.place, next_step=_rewritten(bare)) from None
    return Line(line.file, line.number, text, name, line.constraint)


def _untransportable(text: str) -> tuple[str, str] | None:
    """What is wrong with a line that names something of this machine, and what to write instead."""
    name = re.split(r"[\s@\[;]", text)[0]
    if _EDITABLE.match(text):
        return (
            "is an editable install of a folder on this machine",
            "Delete the line: code inside the project travels by itself; for other code name a release",
        )
    if _VCS.search(text):
        return (
            "comes from a repository, not as a wheel",
            "Name a released version, or put the package's code into the project",
        )
    if re.search(r"(^|@\s*)file:", text):
        package = name if "@" in text else "the package"
        return (
            "points at a file on this machine",
            f"Write its version instead: {package}==VERSION (pip show {package} tells it)",
        )
    if _LOCAL.match(text):
        return (
            "is a path on this machine",
            "Name a released version, or put the code into the project and delete the line",
        )
    return None


def _rewritten(text: str) -> str:
    if conda := _CONDA.match(text):
        return f"conda writes that; pip wants {conda[1]}=={conda[2]}"
    return "Write it as NAME==VERSION, NAME>=VERSION or NAME"
