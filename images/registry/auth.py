"""Registry credentials: given ones, or those that `docker login` left on this machine; and bearer tokens.

Token flow: https://distribution.github.io/distribution/spec/auth/token/. Docker's settings file:
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
from ..oci.registry_host import host_of

_EXPIRY_MARGIN = 30.0
"""Seconds before its end at which a token is no longer used."""
_HUB_KEY = "https://index.docker.io/v1/"
"""The key under which docker keeps Docker Hub's login."""
# Beside the login itself, docker keeps `https://index.docker.io/v1/access-token` and `.../refresh-token`.
_LOGIN_KEY = re.compile(r"(https?://)?[^/]+(/(v[12]/?)?)?")
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name, and a function that gives the current password.

    Attributes:
        username: `oauth2accesstoken` for Google's registries.
        password: Called before each use, so that short-lived tokens stay valid; never shown.
        account: The account for messages; empty if it is the user name.
    """

    username: str
    password: Callable[[], str] = field(repr=False)
    account: str = ""

    @classmethod
    def fixed(cls, username: str, password: str) -> Credentials:
        """Credentials whose password doesn't change."""
        return cls(username, lambda: password)

    @property
    def account_name(self) -> str:
        """The account as messages show it."""
        return self.account or self.username

    def pair(self) -> dict[str, str]:
        """User name and password in the form that docker-py takes."""
        return {"username": self.username, "password": self.password()}

    def basic(self) -> str:
        """The value of an Authorization header."""
        pair = f"{self.username}:{self.password()}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


CredentialsFor = Callable[[str], Credentials | None]
"""Returns the credentials for a registry's host; None for anonymous access."""


def docker_login(host: str, *, config: Path | None = None) -> Credentials | None:
    """The credentials that `docker login HOST` left on this machine: in docker's settings or in a credential helper.

    Every key that names the registry counts: its host in any spelling, a URL, and for Docker Hub each of its hosts.

    Args:
        host: The registry's host.
        config: Docker's settings folder; None for `DOCKER_CONFIG` or `~/.docker`.

    Raises:
        RegistryError: The settings or the helper can't be used.
    """
    folder = config or Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    path = folder / "config.json"
    try:
        settings: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RegistryError(
            f"docker's settings can't be read: {error}", where=path, next_step="Fix the file"
        ) from error
    helpers: dict[str, str] = settings.get("credHelpers") or {}
    logins: dict[str, Any] = settings.get("auths") or {}
    for key in _matching_keys([*helpers, *logins], host):
        if helpers.get(key):
            return _ask_helper(helpers[key], key)
        login = logins[key]
        if login.get("auth"):
            return _decode(login["auth"], path)
        if settings.get("credsStore"):
            return _ask_helper(settings["credsStore"], key)
    return None


def _matching_keys(keys: list[str], host: str) -> list[str]:
    """The keys of docker's settings that name the registry, the one that docker itself uses first."""
    canonical = host_of(host)
    matching = {key for key in keys if _LOGIN_KEY.fullmatch(key) and host_of(key) == canonical}
    return sorted(matching, key=lambda key: (key not in (_HUB_KEY, host), key))


def _decode(auth: str, path: Path) -> Credentials:
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
        # Not chained: what the helper printed may hold the password.
        raise RegistryError(
            "docker's credential helper gave an answer without a login",
            where=program,
            next_step="Run docker login again, or name a block with credentials",
        ) from None


@dataclass(frozen=True, slots=True)
class Challenge:
    """The challenge of a 401 response: a scheme in lowercase, and its parameters."""

    scheme: str
    parameters: Mapping[str, str]

    @classmethod
    def parse(cls, header: str) -> Challenge:
        """Reads a `WWW-Authenticate` header."""
        scheme, _, rest = header.partition(" ")
        return cls(scheme.lower(), dict(_PARAMETER.findall(rest)))

    @property
    def scope(self) -> str:
        """The scope of the token: `repository:NAME:ACTIONS`, several separated by spaces."""
        return self.parameters.get("scope", "")

    def joined(self, other: Challenge | None) -> Challenge:
        """This challenge with the scopes of both."""
        if other is None or other.scheme != self.scheme:
            return self
        actions: dict[str, set[str]] = {}
        for part in f"{other.scope} {self.scope}".split():
            resource, _, wanted = part.rpartition(":")
            actions.setdefault(resource, set()).update(wanted.split(","))
        scope = " ".join(f"{resource}:{','.join(sorted(wanted))}" for resource, wanted in sorted(actions.items()))
        return Challenge(self.scheme, {**self.parameters, "scope": scope})


class TokenCache:
    """Bearer tokens by scope, each kept until shortly before it expires; safe to share between threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tokens: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def get(self, scope: str) -> str | None:
        """A token that is still valid."""
        with self._lock:
            token, end = self._tokens.get(scope, ("", 0.0))
            return token if token and self._clock() < end else None

    def put(self, scope: str, answer: Mapping[str, Any]) -> str:
        """Keeps a token server's answer; the specification's default lifetime is 60 s."""
        token = str(answer.get("token") or answer.get("access_token") or "")
        lifetime = float(answer.get("expires_in") or 60)
        with self._lock:
            self._tokens[scope] = (token, self._clock() + max(lifetime - _EXPIRY_MARGIN, lifetime / 2))
        return token

    def drop(self, scope: str) -> None:
        """Removes a token that a registry refused."""
        with self._lock:
            self._tokens.pop(scope, None)
