"""What Google keeps of a project besides jobs and buckets: enabled APIs, repositories, accounts, policies, quotas."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ...core.atomic_files import write_atomic

Kind = Literal["disabled", "repositories", "accounts", "policies", "quotas"]
"""`disabled` has the APIs that somebody disabled, `quotas` the limits that somebody set; all else is as by default."""


class ProjectResources:
    """The resources by kind and full name, in a file that outlives the service. Threads may share it.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._kept: dict[str, dict[str, Any]] = _read(path)

    def get(self, kind: Kind, name: str) -> dict[str, Any] | None:
        """A resource; None if there is none of that name."""
        with self._lock:
            return self._kept.get(kind, {}).get(name)

    def find(self, kind: Kind, prefix: str = "") -> dict[str, dict[str, Any]]:
        """The resources whose names begin with `prefix`, by name."""
        with self._lock:
            return {name: value for name, value in self._kept.get(kind, {}).items() if name.startswith(prefix)}

    def put(self, kind: Kind, name: str, value: Mapping[str, Any] | None) -> None:
        """Creates or replaces a resource; None removes it."""
        with self._lock:
            of_kind = self._kept.setdefault(kind, {})
            if value is None:
                of_kind.pop(name, None)
            else:
                of_kind[name] = dict(value)
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomic(self._path, json.dumps(self._kept))


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """What is in the file; nothing where it is missing or damaged, since all of it can be made again."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and all(isinstance(kind, dict) for kind in found.values()) else {}
