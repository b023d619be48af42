"""Reads requirements files as pip does, and defines the form that all lists are read into."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Parsed
from packaging.utils import canonicalize_name

from ....core.errors import DependencyError

_INCLUDE = re.compile(r"^(-r|--requirement|-c|--constraint)(?:\s+|=|(?<=-[rc]))(.+)$")
_EDITABLE = re.compile(r"^(-e|--editable)\b")
_FREEZE_COMMENT = re.compile(r"^# Editable .*\(([A-Za-z0-9._-]+)==[^)]*\)$")
"""The comment that pip freeze writes above `-e FOLDER`."""
_HASH = re.compile(r"--hash[= ](\w+):(\w*)")
_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
"""Hexadecimal digits of the hashes that prove something."""
_IGNORED_OPTIONS = re.compile(r"^--(require-hashes|only-binary|no-binary|prefer-binary|use-pep517)\b")
"""Options that have no effect: only wheels are used anyway, each by its hash."""


@dataclass(frozen=True, slots=True)
class Line:
    """One requirement.

    Attributes:
        file: The file's path, relative to the project, or absolute for a file outside.
        number: Line number, from 1.
        text: The requirement without comments, continuation lines joined.
        name: The package's canonical name; None if the line doesn't contain it.
        constraint: Whether it only limits a version and doesn't require the package.
        origin: The original text if the line was translated from conda; else empty.
    """

    file: str
    number: int
    text: str
    name: str | None = None
    constraint: bool = False
    origin: str = ""

    @property
    def place(self) -> str:
        """`file:line`, which editors and terminals turn into a link."""
        return f"{self.file}:{self.number}"


@dataclass(frozen=True, slots=True)
class Requirements:
    """A project's dependency list.

    Attributes:
        method: Where the list comes from: a file's name, or "environment".
        lines: All requirements of all files.
        options: Indexes and folders of wheels, as lines of a requirements file; local paths are absolute.
        hashes: Allowed hashes by canonical name: of sha256 the digest, of others `sha512:DIGEST`; a package without an
            entry may have any.
        conda: Whether it lists conda packages, which pip can't install.
        lost: Lines that could not be translated, each with the reason.
        notes: Remarks on the translation, one sentence each.
    """

    method: str = "nothing"
    lines: tuple[Line, ...] = ()
    options: tuple[str, ...] = ()
    hashes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    conda: bool = False
    lost: tuple[tuple[Line, str], ...] = ()
    notes: tuple[str, ...] = ()


def read_file(root: Path, path: Path) -> Requirements:
    """Reads a requirements file and the files that it includes.

    Raises:
        DependencyError: A file is missing or can't be read.
    """
    return _read(root, path.name, lambda reader: reader.read(path, constraint=False))


def read_text(root: Path, name: str, text: str) -> Requirements:
    """Reads the text of a requirements file; `name` is its name in messages."""
    return _read(root, name, lambda reader: reader.parse(root / name, name, text, constraint=False))


def _read(root: Path, name: str, read: Callable[[_Reader], None]) -> Requirements:
    reader = _Reader(root)
    read(reader)
    hashes = {package: frozenset(found) for package, found in reader.hashes.items() if found}
    return Requirements(name, tuple(reader.lines), tuple(reader.options), hashes)


class _Reader:
    """Follows `-r` and `-c` from file to file, each file once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen: set[str] = set()
        self.lines: list[Line] = []
        self.options: list[str] = []
        self.hashes: dict[str, set[str]] = {}

    def read(self, path: Path, *, constraint: bool) -> None:
        name = self._name(path)
        if name not in self._seen:
            self._seen.add(name)
            self.parse(path, name, decoded(path, name), constraint=constraint)

    def parse(self, path: Path, name: str, text: str, *, constraint: bool) -> None:
        raw = text.splitlines()
        for number, content in _logical_lines(text):
            include = _INCLUDE.match(content)
            if include:
                self._include(path, Line(name, number, content), include)
            elif content.startswith("-") and not _EDITABLE.match(content):
                self._option(path, content)
            else:
                comment = _FREEZE_COMMENT.match(raw[number - 2]) if number > 1 else None
                package = canonicalize_name(comment[1]) if comment else None
                self._requirement(Line(name, number, content, package, constraint))

    def _requirement(self, line: Line) -> None:
        bare = re.split(r"\s+--(?:hash|global-option|config-settings?)\b", line.text)[0].strip()
        package = package_of(bare) or line.name
        self.lines.append(Line(line.file, line.number, bare, package, line.constraint))
        if package and (found := _HASH.findall(line.text)):
            self.hashes.setdefault(package, set()).update(_checked_hash(line, *item) for item in found)

    def _option(self, path: Path, text: str) -> None:
        if _IGNORED_OPTIONS.match(text):
            return
        if links := re.match(r"^(?:-f|--find-links)[ =]*(?!\w+://)(.+)$", text):
            folder = Path(links[1].strip("'\"")).expanduser()
            # For uv a path is relative to its working directory, for pip to the file's folder.
            beside = next((base / folder for base in (path.parent, self._root) if _exists(base / folder)), folder)
            text = f"--find-links {beside.resolve() if _exists(beside) else links[1]}"
        self.options.append(text)

    def _include(self, path: Path, line: Line, include: re.Match[str]) -> None:
        target = include[2].strip().strip("'\"")
        if re.match(r"https?://", target):
            self.options.append(line.text)  # uv fetches it
            return
        other = path.parent / target
        if not _exists(other) and "\\" in target:  # the spelling of Windows
            other = path.parent / target.replace("\\", "/")
        if not _exists(other) or not other.is_file():
            raise DependencyError(
                f"{line.text} names a file that does not exist",
                where=line.place,
                next_step="Fix the path: it is relative to the folder of that file",
            )
        self.read(other, constraint=include[1] in {"-c", "--constraint"})

    def _name(self, path: Path) -> str:
        resolved = path.resolve()
        if resolved.is_relative_to(self._root):
            return resolved.relative_to(self._root).as_posix()
        return str(resolved)


def _exists(path: Path) -> bool:
    """Whether there is a file or folder; none has a name that the file system doesn't take."""
    try:
        return path.exists()
    except OSError:
        return False


def _checked_hash(line: Line, algorithm: str, digest: str) -> str:
    """The hash; with its algorithm in front unless that is sha256.

    Raises:
        DependencyError: It has the wrong length, or an algorithm that proves nothing.
    """
    if len(digest) != _LENGTHS.get(algorithm) or not re.fullmatch(r"[0-9a-f]+", digest):
        package = re.split(r"\s+--hash", line.text)[0]
        weak = "" if algorithm in _LENGTHS else ": it must be sha256, sha384 or sha512"
        raise DependencyError(
            f"{package} has an invalid hash of {algorithm}{weak}",
            where=line.place,
            next_step="Generate the list again: uv pip compile --generate-hashes",
        )
    return digest if algorithm == "sha256" else f"{algorithm}:{digest}"


def decoded(path: Path, name: str) -> str:
    """Text of a file in UTF-8, or in UTF-16, which PowerShell's `>` writes.

    Raises:
        DependencyError: It has another encoding, or can't be read.
    """
    try:
        data = path.read_bytes()
        return data.decode("utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DependencyError(
            f"{name} is not UTF-8 text", where=path, next_step="Save it as UTF-8: pip freeze | Out-File -Encoding utf8"
        ) from error
    except OSError as error:
        raise DependencyError(f"can't read {name}: {error.strerror}", where=path) from error


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    r"""Lines and their numbers as pip reads them: `\` joins lines, ` #` starts a comment."""
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


def package_of(text: str) -> str | None:
    """The canonical name of the package in a requirement; None if the text is not a plain requirement."""
    try:
        return canonicalize_name(Parsed(text).name)
    except InvalidRequirement:
        return None
