"""Logins for registries that a client lends the service for its jobs' images; they are never written down."""

from __future__ import annotations

import threading
from collections.abc import Mapping


class LentLogins:
    """Logins by registry host, in memory; safe to share between threads."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, str]] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"LentLogins({len(self._found)})"

    def lend(self, host: str, login: Mapping[str, str]) -> None:
        """Keeps the login for a host until the service ends.

        Args:
            host: The registry's host in its canonical form.
            login: `username` and `password`, or `identitytoken`, or `registrytoken`.
        """
        with self._lock:
            self._found[host] = {str(name): str(value) for name, value in login.items()}

    def of(self, host: str) -> dict[str, str] | None:
        """The login for a host; None if none was lent."""
        with self._lock:
            return self._found.get(host)
