"""Whether a lock still fits the dependencies that it was made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from ....core.errors import DependencyError


def require_satisfied(lock: Path, wanted: Iterable[str], versions: Mapping[str, str], next_step: str) -> None:
    """Rejects a lock that lacks a direct dependency, or has a version of it that is not allowed.

    Args:
        lock: The lock's file, for the message.
        wanted: The project's requirements.
        versions: The lock's versions by canonical name.
        next_step: How to renew the lock.

    Raises:
        DependencyError: It names the dependency.
    """
    for text in wanted:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        name = canonicalize_name(requirement.name)
        if requirement.marker is not None and name not in versions:
            continue  # it may be for another platform or Python version
        if name not in versions:
            raise DependencyError(f"{lock.name} is out of date: it lacks {name}", where=lock, next_step=next_step)
        if not _allows(requirement, versions[name]):
            raise DependencyError(
                f"{lock.name} is out of date: it has {name} {versions[name]}, and {requirement.specifier} is wanted",
                where=lock,
                next_step=next_step,
            )


def _allows(requirement: Requirement, version: str) -> bool:
    if not version:  # locked in several versions
        return True
    try:
        return requirement.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return True
