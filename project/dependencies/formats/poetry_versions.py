"""Poetry's own dependency tables as requirements: https://python-poetry.org/docs/dependency-specification/."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet


def requirements(table: Mapping[str, Any], *, optional: bool = False) -> list[str]:
    """The requirements of a table of poetry's; optional dependencies only if `optional`."""
    found = []
    for name, wanted in table.items():
        if name.lower() == "python":
            continue
        for item in wanted if isinstance(wanted, list) else [wanted]:
            details: Mapping[str, Any] = item if isinstance(item, dict) else {"version": item}
            if optional or not details.get("optional"):
                found.append(_requirement(name, details))
    return found


def _requirement(name: str, details: Mapping[str, Any]) -> str:
    extras = f"[{','.join(details['extras'])}]" if details.get("extras") else ""
    marker = f" ; {details['markers']}" if details.get("markers") else ""
    if url := details.get("git"):
        ref = next((f"@{details[key]}" for key in ("rev", "tag", "branch") if details.get(key)), "")
        inside = f"#subdirectory={details['subdirectory']}" if details.get("subdirectory") else ""
        return f"{name}{extras} @ git+{url}{ref}{inside}{marker}"
    if place := details.get("path") or details.get("url"):
        return f"{name}{extras} @ {place if '://' in place else f'file:{place}'}{marker}"
    return f"{name}{extras}{specifier(str(details.get('version', '*')))}{marker}"


def specifier(wanted: str) -> str:
    """Poetry's version as a version specifier of pip; empty for any version, and for alternatives, which pip lacks."""
    if "||" in wanted or "|" in wanted:
        return ""
    parts = [part.strip() for part in re.split(r"\s*,\s*|\s+(?=[<>=!~^])", wanted.strip()) if part.strip()]
    texts = [text for part in parts for text in _part(part)]
    try:
        return str(SpecifierSet(",".join(texts)))
    except InvalidSpecifier:
        return ""


def _part(part: str) -> list[str]:
    if part == "*":
        return []
    if part.startswith("^"):
        return _caret(part[1:].strip())
    if part.startswith("~") and not part.startswith("~="):
        return _tilde(part[1:].strip())
    return [part.replace(" ", "")] if part[0] in "<>=!~" else [f"=={part}"]


def _caret(version: str) -> list[str]:
    """Versions that don't change the first number that isn't zero."""
    numbers = _numbers(version)
    at = next((index for index, number in enumerate(numbers) if number), len(numbers) - 1)
    upper = [*numbers[:at], numbers[at] + 1]
    return [f">={version}", f"<{'.'.join(map(str, upper))}"]


def _tilde(version: str) -> list[str]:
    """Versions with the same major and, if given, minor number."""
    numbers = _numbers(version)
    upper = [numbers[0] + 1] if len(numbers) == 1 else [numbers[0], numbers[1] + 1]
    return [f">={version}", f"<{'.'.join(map(str, upper))}"]


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", re.split(r"[a-z+-]", version, maxsplit=1)[0])] or [0]
