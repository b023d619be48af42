"""Explains in one line why uv could not resolve the requirements, with the place of the requirement."""

from __future__ import annotations

import re
from collections.abc import Sequence

from packaging.utils import canonicalize_name

from ...core.errors import DependencyError
from .formats.requirements_txt import Line

_NETWORK = re.compile(
    r"error sending request|[Rr]equest failed after|[Cc]onnection (?:refused|reset)|dns error|timed? ?out"
    r"|[Cc]ould not connect|failed to lookup address|HTTP status server error|429 Too Many Requests"
)
_REMOVED = re.compile(r"`[^`]*/(?:archive|wheels|sdists|built-wheels)-v\d+/[^`]*`: No such file or directory")
_DENIED = re.compile(r"HTTP status client error \((401|403)[^)]*\)(?: for url \(([^)]*)\))?")
_PACKAGE = r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?"
_WRITTEN = _PACKAGE + r"((?:[=<>!~]=?|===)[^\s,]+)?"
_MISSING = re.compile(_PACKAGE + r"(?:[=<>!~]\S*)? was not found in the (?:package registry|provided package)")
_NO_VERSION = re.compile(r"(?:there is no version of|there are no versions of|only \S+ is available of) " + _WRITTEN)
_NO_WHEEL = re.compile(_WRITTEN + r" has (?:no (?:usable wheels|wheels with a matching)|invalid metadata)")
_HINT_PLATFORM = re.compile(
    r"Wheels are available for `([^`]+)` \(v([^)]+)\) on the following platforms?: (.*?)(?:$|hint:)"
)
_HINT_PYTHON = re.compile(
    r"only found wheels for `([^`]+)` \(v([^)]+)\) with the following Python (?:ABI|implementation) tags?:"
    r" (.*?)(?:$|hint:)"
)
_HINT_BUILD = re.compile(r"Wheels are required for `([^`]+)`")
_OTHER_INDEX = {
    "uv.lock": "name another one in pyproject.toml and run uv lock",
    "poetry.lock": "name another one in pyproject.toml and run poetry lock",
    "pylock.toml": "create the lock again from another one",
}
"""How a list gets another index, where that is not written into the list itself."""
_DEPENDS = re.compile(_PACKAGE + r"(?:[=<>!~]\S*)? depends? on " + _PACKAGE)


def explain(
    output: str, lines: Sequence[Line], python: str, options: Sequence[str] = (), method: str = ""
) -> DependencyError:
    """The error for uv's output, with all of the output in `detail`.

    Args:
        output: The standard error of uv.
        lines: The project's requirements.
        python: Minor version for which uv resolved.
        options: The project's own options, which may name indexes.
        method: The list that has these options.
    """
    flat = " ".join(output.split())
    found = (
        _cache_changed(flat),
        _unreachable(flat, lines),
        _unreachable_index(flat, options, method),
        _missing(flat, lines),
        _no_wheel(flat, lines, python),
        _no_version(flat, lines),
    )
    error = next(filter(None, found), None)
    return (error or _other(flat, lines)).replace(detail=output.strip())


def _cache_changed(flat: str) -> DependencyError | None:
    """The error for a file that another process removed from uv's cache meanwhile."""
    if not _REMOVED.search(flat):
        return None
    return DependencyError(
        "another process cleaned uv's cache while uv used it", where="uv's cache", next_step="Run again", transient=True
    )


def _unreachable(flat: str, lines: Sequence[Line]) -> DependencyError | None:
    if "No solution found" in flat:
        return None
    if error := _unreachable_file(flat, lines):
        return error
    if denied := _DENIED.search(flat):
        return DependencyError(
            f"the package index refused: HTTP {denied[1]}",
            where=_host(denied[2] or flat),
            next_step="Check the user and password in its URL, or the keyring that holds them",
        )
    return None


def _unreachable_index(flat: str, options: Sequence[str], method: str) -> DependencyError | None:
    """The error for an index that doesn't answer: one that the project's list names, or one of the settings."""
    if "No solution found" in flat or not _NETWORK.search(flat):
        return None
    host = _host(flat)
    step = "Check the network, or the index in pip's or uv's settings, and run again"
    whose = ""
    if host and any(_host(option) == host for option in options):
        whose = f" that {method} names"
        step = f"Check the network; if that index is gone, {_OTHER_INDEX.get(method, 'name another one there')}"
    return DependencyError(f"can't reach the package index{whose}", where=host, next_step=step, transient=True)


def _unreachable_file(flat: str, lines: Sequence[Line]) -> DependencyError | None:
    """The error for a wheel that a line names by its URL; None if that is not what failed."""
    failed = {address.partition("#")[0] for address in re.findall(r"https?://[^\s)`]+", flat)}
    for line in lines:
        if (found := re.search(r"https?://[^\s#;]+", line.text)) and found[0] in failed:
            file = found[0].rpartition("/")[2]
            status = re.search(r"HTTP status \w+ error \(([^)]+)\)", flat)
            return DependencyError(
                f"can't download {file} from {_host(found[0])}{f': HTTP {status[1]}' if status else ''}",
                where=line.place,
                next_step="Check the address and the network, or name a released version: NAME==VERSION",
                transient=not status and bool(_NETWORK.search(flat)),
            )
    return None


def _missing(flat: str, lines: Sequence[Line]) -> DependencyError | None:
    found = _MISSING.search(flat)
    if found is None:
        return None
    return DependencyError(
        f"there is no package {found[1]}{needed_by(found[1], flat, lines)}",
        where=place_of(found[1], flat, lines),
        next_step="Fix the name, or add the index that has it: --extra-index-url URL in requirements.txt",
    )


def _no_version(flat: str, lines: Sequence[Line]) -> DependencyError | None:
    found = _NO_VERSION.search(flat)
    if found is None or found[2] is None:
        return None
    step = "Choose a version that exists: pip index versions " + found[1]
    if "+" in found[2]:
        step = "Versions with a + are in separate indexes: --extra-index-url URL in requirements.txt"
    return DependencyError(
        f"there is no version {found[1]}{found[2]}{needed_by(found[1], flat, lines)}",
        where=place_of(found[1], flat, lines),
        next_step=step,
    )


def _no_wheel(flat: str, lines: Sequence[Line], python: str) -> DependencyError | None:
    if found := _HINT_PLATFORM.search(flat):
        name, version, tags = found.groups()
        return DependencyError(
            f"{name} {version} has no wheel for linux/amd64, only for {_tags(tags)}{needed_by(name, flat, lines)}",
            where=place_of(name, flat, lines),
            next_step=f"Delete it or restrict it to its platform: {name}; sys_platform == {_platform(tags)!r}",
        )
    if found := _HINT_PYTHON.search(flat):
        name, version, tags = found.groups()
        return DependencyError(
            f"{name} {version} has no wheel for Python {python}, only for {_tags(tags)}{needed_by(name, flat, lines)}",
            where=place_of(name, flat, lines),
            next_step="Choose another version of it, or set python under [tool.vertex-training]",
        )
    found = _NO_WHEEL.search(flat) or _HINT_BUILD.search(flat)
    if found is None:
        return None
    written = re.split(r" has (?:no|invalid)", found[0])[0] if " has " in found[0] else found[1]
    return DependencyError(
        f"{written} has no wheel for linux/amd64 and Python {python}{needed_by(found[1], flat, lines)}",
        where=place_of(found[1], flat, lines),
        next_step="Choose a version that has one, or build the image from your own Dockerfile",
    )


def _other(flat: str, lines: Sequence[Line]) -> DependencyError:
    reason = flat.split("hint:", maxsplit=1)[0].removeprefix("error: ").strip().rstrip(".")
    if "No solution found" in flat:
        names = [line.name for line in lines if line.name and re.search(rf"\b{re.escape(line.name)}\b", flat)]
        place = ", ".join(line.place for line in lines if line.name in names[:2])
        return DependencyError(
            f"the requirements contradict each other: {_shortened(reason.partition('cause: ')[2])}",
            where=place or None,
            next_step="Loosen one of them",
        )
    return DependencyError(
        f"uv can't resolve the requirements: {_shortened(reason.replace(' cause:', ':'))}",
        where=lines[0].file if lines else None,
        next_step="Fix the requirement that it names",
    )


def _shortened(text: str, limit: int = 400) -> str:
    return text if len(text) <= limit else text[:limit].rsplit(" ", 1)[0] + " ..."


def needed_by(name: str, flat: str, lines: Sequence[Line]) -> str:
    """The package that needs another one, as part of a message; empty for a package that a line names."""
    if _line(name, lines):
        return ""
    parent = _parent(name, flat)
    return f", which {parent} needs" if parent else ""


def _parent(name: str, flat: str) -> str | None:
    wanted = canonicalize_name(name)
    return next((found[1] for found in _DEPENDS.finditer(flat) if canonicalize_name(found[2]) == wanted), None)


def place_of(name: str, flat: str, lines: Sequence[Line]) -> str | None:
    """`file:line` of the package, or of the listed package that depends on it."""
    current: str | None = name
    for _ in range(20):  # a chain of dependencies, which may be circular
        if current is None:
            break
        if line := _line(current, lines):
            return line.place
        current = _parent(current, flat)
    return None


def _line(name: str, lines: Sequence[Line]) -> Line | None:
    wanted = canonicalize_name(name)
    return next((line for line in lines if line.name == wanted), None)


def _tags(text: str) -> str:
    return ", ".join(re.findall(r"`([^`]+)`", text)[:4])


def _platform(tags: str) -> str:
    return "darwin" if "macosx" in tags else "win32" if "win" in tags else "linux"


def _host(text: str) -> str | None:
    """The host alone, because an index's URL may contain a password."""
    found = re.search(r"https?://(?:[^@/\s]*@)?([^/\s)]+)", text)
    return found[1] if found else None
