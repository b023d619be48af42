"""Who asks a registry: given credentials, or this machine's own docker login.

Token flow: https://distribution.github.io/distribution/spec/auth/token/. Docker's file:
https://docs.docker.com/reference/cli/docker/login/.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...core.errors import RegistryError
from ..oci.reference import DOCKER_HUB

_EARLY = 30.0
"""Seconds before its end at which a token is no longer used."""
_HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", DOCKER_HUB)
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and how to get the password of the moment.

    Attributes:
        username: `oauth2accesstoken` for Google's registries.
        password: Called before each use, so that a short-lived token can be a fresh one; never shown.
        account: Who that is, for messages; the user's name if empty.
    """

    username: str
    password: Callable[[], str] = field(repr=False)
    account: str = ""

    @classmethod
    def fixed(cls, username: str, password: str) -> Credentials:
        """A user and a password that stay."""
        return cls(username, lambda: password)

    @property
    def who(self) -> str:
        """For messages."""
        return self.account or self.username

    def pair(self) -> dict[str, str]:
        """What a Docker engine is given."""
        return {"username": self.username, "password": self.password()}

    def basic(self) -> str:
        """The value of an Authorization header."""
        pair = f"{self.username}:{self.password()}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


def docker_login(host: str, *, config: Path | None = None) -> Credentials | None:
    """What `docker login HOST` left on this machine: a password in its file, or a helper program to ask.

    Args:
        host: The registry's.
        config: Docker's folder; `DOCKER_CONFIG` or `~/.docker` when missing.

    Raises:
        RegistryError: The file or the helper can't be used.
    """
    folder = config or Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    path = folder / "config.json"
    try:
        settings: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RegistryError(
            f"docker's settings can't be read: {error}", where=path, next_step="Mend the file"
        ) from error
    for key in _HUB_KEYS if host == DOCKER_HUB else (host, f"https://{host}", f"https://{host}/v2/"):
        helper = settings.get("credHelpers", {}).get(key)
        if helper:
            return _ask_helper(helper, key)
        entry = settings.get("auths", {}).get(key)
        if entry is None:
            continue
        if entry.get("auth"):
            return _decoded(entry["auth"], path)
        if settings.get("credsStore"):
            return _ask_helper(settings["credsStore"], key)
    return None


def _decoded(auth: str, path: Path) -> Credentials:
    try:
        username, _, password = base64.b64decode(auth).decode().partition(":")
    except ValueError as error:
        raise RegistryError(
            "a login in docker's settings can't be read", where=path, next_step="Run docker login again"
        ) from error
    return Credentials.fixed(username, password)


def _ask_helper(helper: str, key: str) -> Credentials | None:
    # The protocol: the server's name on stdin, JSON on stdout (docker-credential-helpers).
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run([program, "get"], input=key, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RegistryError(
            f"docker's credential helper can't be run: {error}",
            where=program,
            next_step="Install it, or name a block with credentials",
        ) from error
    if done.returncode != 0:
        return None
    try:
        answer = json.loads(done.stdout)
        return Credentials.fixed(answer["Username"], answer["Secret"])
    except (ValueError, KeyError, TypeError):
        # Not chained: what it printed may hold the password.
        raise RegistryError(
            "docker's credential helper answered what isn't a login",
            where=program,
            next_step="Run docker login again, or name a block with credentials",
        ) from None


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a 401 asks for: a scheme (lowercase) and its parameters."""

    scheme: str
    parameters: Mapping[str, str]

    @classmethod
    def parse(cls, header: str) -> Challenge:
        """Reads a `WWW-Authenticate` header."""
        scheme, _, rest = header.partition(" ")
        return cls(scheme.lower(), dict(_PARAMETER.findall(rest)))

    @property
    def scope(self) -> str:
        """What a token must allow: `repository:NAME:ACTIONS`, several with spaces between."""
        return self.parameters.get("scope", "")

    def joined(self, other: Challenge | None) -> Challenge:
        """This one, asking for what the other asks for as well."""
        if other is None or other.scheme != self.scheme:
            return self
        actions: dict[str, set[str]] = {}
        for part in f"{other.scope} {self.scope}".split():
            resource, _, wanted = part.rpartition(":")
            actions.setdefault(resource, set()).update(wanted.split(","))
        scope = " ".join(f"{resource}:{','.join(sorted(wanted))}" for resource, wanted in sorted(actions.items()))
        return Challenge(self.scheme, {**self.parameters, "scope": scope})


class TokenCache:
    """Bearer tokens by scope until shortly before they end; threads share one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tokens: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def get(self, scope: str) -> str | None:
        """A token that is still good."""
        with self._lock:
            token, end = self._tokens.get(scope, ("", 0.0))
            return token if token and self._clock() < end else None

    def put(self, scope: str, answer: Mapping[str, Any]) -> str:
        """Keeps what a token server answered; 60 s is the specification's default lifetime."""
        token = str(answer.get("token") or answer.get("access_token") or "")
        lifetime = float(answer.get("expires_in") or 60)
        with self._lock:
            self._tokens[scope] = (token, self._clock() + max(lifetime - _EARLY, lifetime / 2))
        return token

    def drop(self, scope: str) -> None:
        """Forgets a token that a registry refused."""
        with self._lock:
            self._tokens.pop(scope, None)
