"""Requirements that name a folder, a file, a repository or an archive's URL instead of a release."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ...core.errors import DependencyError
from ...core.security.parsed_text import parse_toml
from .formats.requirements_txt import Line

_EDITABLE = re.compile(r"^(?:-e|--editable)[ =]*")
_VCS = re.compile(r"^(git|hg|svn|bzr)\+")
_LOCAL = re.compile(
    r"^(\.{0,2}[\\/]|~|\.{1,2}(\[|$)|[A-Za-z]:[\\/])|^(?!https?://)[^@;\s\[]+(\.whl|\.tar\.gz|\.zip)(\s|$)"
)
_ARCHIVE = re.compile(r"^https?://[^#?]+\.(?:tar\.gz|tgz|tar\.bz2|zip)(?:[#?]|$)")
_URL = "url"
_NAMED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?\s*@\s*(.+)$")
_VERSION_IN_FILE = re.compile(r"^(?P<name>[A-Za-z0-9_.]+?)-(?P<version>\d[^-]*?)(?:-[^/]*\.whl|\.tar\.gz|\.zip)$")


@dataclass(frozen=True, slots=True)
class Build:
    """A package that has to be built as a wheel.

    Attributes:
        name: Canonical name, if the line has one.
        extras: Such as "a,b".
        marker: Environment marker, as text.
        place: `file:line` of the requirement.
        folder: The folder or archive on this machine; None for a repository or a URL.
        url: URL of the repository or archive.
        ref: Commit, tag or branch; empty for the default branch.
        subdirectory: The package's folder in the repository.
        sha256: Hash of a source distribution from an index, by which its wheel is kept; empty for all else.
        archive: Whether `url` is that of an archive with the source.
        url_sha256: The hash that the archive has to have; empty for any.
    """

    name: str | None
    extras: str
    marker: str
    place: str
    folder: Path | None = None
    url: str = ""
    ref: str = ""
    subdirectory: str = ""
    sha256: str = ""
    archive: bool = False
    url_sha256: str = ""

    @property
    def title(self) -> str:
        """Name of the result, for a report."""
        if self.folder:
            return f"a wheel of {self.name or self.folder.name}"
        if self.archive:
            return f"a wheel of {urlsplit(self.url).path.rpartition('/')[2]}"
        return f"a wheel of {self.ref[:12] or 'its default branch'}"

    def requirement(self, wheel: Path) -> str:
        """The requirement by which uv installs the built wheel."""
        name = self.name or wheel.name.partition("-")[0]
        return _requirement(name, self.extras, self.marker, wheel)


@dataclass(frozen=True, slots=True)
class Source:
    """What a requirement names instead of a release. `Build` describes the attributes that both have.

    Attributes:
        path: The folder or file on this machine; None for a repository.
        version: Version in the file's name, if there is one.
        vcs: Version control program of the repository, such as "git", or "url" for an archive; empty for a path.
    """

    name: str | None
    extras: str
    marker: str
    place: str
    path: Path | None = None
    version: str | None = None
    vcs: str = ""
    url: str = ""
    ref: str = ""
    subdirectory: str = ""
    _known: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def exists(self) -> bool:
        """Whether it is on this machine and can be shipped."""
        return self.path is not None and (self.path.is_file() or _is_package(self.path))

    @property
    def reason(self) -> str:
        """Why it is built as a wheel."""
        if self.path:
            return "is on this machine: shipped with the code"
        if self.vcs == _URL:
            return "is an archive of sources"
        return "comes from a repository" + (f", kept at {self.ref}" if self.ref else "")

    def applies(self, environment: Mapping[str, str]) -> bool:
        """Whether its marker is true in `environment`."""
        try:
            return Marker(self.marker).evaluate(dict(environment))
        except InvalidMarker:
            return True

    def is_project(self, root: Path, name: str | None) -> bool:
        """Whether it is the project in `root` itself, named by its folder or its repository."""
        if self.path:
            return self.path == root
        return bool(name) and self.name == name and not self.subdirectory and (root / ".git").exists()

    def build(self) -> Build | None:
        """The wheel to build from it; None if it is a wheel already.

        Raises:
            DependencyError: The repository needs another program than git, or its branch or folder can be none.
        """
        self._refuse_options()
        if self.vcs == _URL:
            url, _, fragment = self.url.partition("#")
            values = {key: found[0] for key, found in parse_qs(fragment).items()}
            sub, digest = values.get("subdirectory", ""), values.get("sha256", "")
            return Build(
                self.name, self.extras, self.marker, self.place, url=url, subdirectory=sub, archive=True,
                url_sha256=digest,
            )  # fmt: skip
        if self.vcs not in {"", "git"}:
            raise DependencyError(
                f"{self.name or self.url} comes from a {self.vcs} repository",
                where=self.place,
                next_step="Name a released version, or put the package's code into the project",
            )
        if self.path and self.path.suffix == ".whl":
            return None
        return Build(self.name, self.extras, self.marker, self.place, self.path, self.url, self.ref, self.subdirectory)

    def _refuse_options(self) -> None:
        """Refuses a branch that git would read as an option, which may name a program, and a folder outside."""
        values = parse_qs(self.url.partition("#")[2]) if self.vcs == _URL else {}
        folder = PurePosixPath(self.subdirectory or values.get("subdirectory", [""])[0])
        if self.ref.startswith("-"):
            what, step = f"{self.ref} is not a branch, tag or commit", "Correct what stands after @ in its address"
        elif self.url.startswith("-"):
            what, step = f"{self.url} is not the address of a repository", "Correct the address"
        elif folder.is_absolute() or ".." in folder.parts:
            what, step = f"{folder} is not a folder in the repository", "Correct subdirectory= in its address"
        else:
            return
        raise DependencyError(what, where=self.place, next_step=step)

    def named(self) -> str:
        """Name with extras."""
        return f"{self.name}[{self.extras}]" if self.extras else str(self.name)

    def requirement(self, wheel: Path | None) -> str:
        """The requirement by which uv installs this wheel."""
        assert wheel is not None
        return _requirement(self.name or wheel.name.partition("-")[0], self.extras, self.marker, wheel)

    def missing_error(self, line: Line) -> DependencyError:
        """The error for a file or folder that isn't on this machine and whose version is unknown."""
        there = self.path is not None and self.path.is_dir()
        package = self.name or "NAME"
        return DependencyError(
            f"{line.text} names {'a folder without a package' if there else 'what is not on this machine'}",
            where=line.place,
            next_step=f"Write its version instead: {package}==VERSION (pip list --format=freeze writes all versions)",
        )


def parse(line: Line, root: Path) -> Source | None:
    """The source that a requirement names; None for a release.

    Args:
        line: The requirement.
        root: The project's folder; paths are relative to it, because uv and pip are run there.
    """
    text = line.text
    editable = _EDITABLE.match(text)
    text, _, marker = (text[editable.end() :] if editable else text).partition(" ;")
    name, extras, address = line.name if editable else None, "", text.strip().strip("'\"")
    if named := _NAMED.match(address):
        name, extras, address = named[1], named[2] or "", named[3].strip()
    source = Source(canonicalize_name(name) if name else None, extras, marker.strip(), line.place)
    if not editable and _ARCHIVE.match(address):
        return _of_archive(source, address)
    if not editable and not (_VCS.match(address) or address.startswith("file:") or _LOCAL.match(address)):
        return None
    if vcs := _VCS.match(address):
        return _of_repository(source, vcs[1], address[vcs.end() :])
    return _of_path(source, address, root)


def name_of(line: Line, root: Path) -> str | None:
    """The canonical name of the package in a folder, file or repository; None if only its build shows it."""
    source = parse(line, root)
    return source.name if source else None


def _of_repository(source: Source, vcs: str, address: str) -> Source:
    url, _, fragment = address.partition("#")
    options = {key: values[0] for key, values in parse_qs(fragment).items()}
    head, slash, tail = url.rpartition("/")
    tail, _, ref = tail.partition("@")
    if not ref and "@" in (path := urlsplit(url).path):  # a branch with a slash in its name
        head, _, ref = url.rpartition("@")
        slash, tail = "", ""
        assert path
    egg = re.match(r"([^\[]+)(?:\[([^\]]*)\])?$", options.get("egg", ""))
    name = source.name or (canonicalize_name(egg[1]) if egg else None)
    extras = source.extras or (egg[2] or "" if egg else "")
    return replace(
        source,
        name=name,
        extras=extras,
        vcs=vcs,
        url=f"{head}{slash}{tail}",
        ref=ref,
        subdirectory=options.get("subdirectory", ""),
    )


def _of_archive(source: Source, address: str) -> Source:
    egg = parse_qs(address.partition("#")[2]).get("egg", [""])[0]
    file = _VERSION_IN_FILE.match(unquote(urlsplit(address).path.rpartition("/")[2]))
    name = source.name or (canonicalize_name(egg) if egg else canonicalize_name(file["name"]) if file else None)
    return replace(source, name=name, vcs=_URL, url=address)


def _of_path(source: Source, address: str, root: Path) -> Source:
    address, _, fragment = address.partition("#")
    if bracket := re.search(r"\[([^\]]*)\]$", address):
        source, address = replace(source, extras=bracket[1]), address[: bracket.start()]
    text = unquote(address.removeprefix("file://")) if address.startswith("file:") else address
    text = text.removeprefix("file:")
    if not re.match(r"[A-Za-z]:", text):  # a relative path in the spelling of Windows
        text = text.replace("\\", "/")
    path = (root / Path(text).expanduser()).resolve()
    egg = parse_qs(fragment).get("egg", [""])[0]
    file = _VERSION_IN_FILE.match(re.split(r"[\\/]", text)[-1])
    name = source.name or (canonicalize_name(egg) if egg else canonicalize_name(file["name"]) if file else None)
    return replace(source, name=name or _declared_name(path), path=path, version=file["version"] if file else None)


def _declared_name(folder: Path) -> str | None:
    return project_name(folder) if folder.is_dir() else None


def _is_package(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("pyproject.toml", "setup.py", "setup.cfg"))


def _requirement(name: str, extras: str, marker: str, wheel: Path) -> str:
    extra = f"[{extras}]" if extras else ""
    return f"{name}{extra} @ file://{quote(str(wheel))}{f' ; {marker}' if marker else ''}"


def _project_table(root: Path) -> dict[str, Any]:
    try:
        table = parse_toml((root / "pyproject.toml").read_text(encoding="utf-8-sig")).get("project", {})
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return {}
    return table if isinstance(table, dict) else {}


def project_name(root: Path) -> str | None:
    """The canonical name in a folder's pyproject.toml."""
    name = _project_table(root).get("name")
    return canonicalize_name(name) if isinstance(name, str) else None


def own_dependencies(root: Path, extras: str) -> tuple[str, ...] | None:
    """The dependencies in the project's pyproject.toml; None if only its build shows them."""
    table = _project_table(root)
    if not table or "dependencies" in table.get("dynamic", []):
        return None
    optional = {canonicalize_name(name): texts for name, texts in table.get("optional-dependencies", {}).items()}
    wanted = [canonicalize_name(extra.strip()) for extra in extras.split(",") if extra.strip()]
    texts = [*table.get("dependencies", []), *(text for extra in wanted for text in optional.get(extra, []))]
    return tuple(text for text in texts if isinstance(text, str) and _is_requirement(text))


def _is_requirement(text: str) -> bool:
    try:
        Requirement(text)
    except InvalidRequirement:
        return False
    return True
