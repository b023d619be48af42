"""Credentials that `docker login` and `podman login` left on this machine.

Docker's settings: https://docs.docker.com/reference/cli/docker/login/. Podman's:
https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...core.errors import RegistryError
from ...core.security.parsed_text import parse_json
from ..oci.registry_host import DOCKER_HUB, host_of
from .auth import Credentials

_HUB_KEY = "https://index.docker.io/v1/"
"""The key under which docker keeps Docker Hub's login."""
# Beside the login itself, docker keeps `https://index.docker.io/v1/access-token` and `.../refresh-token`.
_LOGIN_KEY = re.compile(r"(https?://)?[^/]+(/(v[12]/?)?)?")
_IDENTITY = "<token>"
"""The user name with which a helper says that its secret is an identity token."""
_HELPER_SECONDS = 60.0
"""How long a credential helper is waited for: it may ask its user to unlock a keychain."""
_NO_USER = "00000000-0000-0000-0000-000000000000"
"""The user name that Azure's `az acr login` stores beside an identity token."""


def docker_login(name: str, *, config: Path | None = None) -> Credentials | None:
    """The credentials that a login left on this machine: in docker's or podman's settings or in a credential helper.

    Every key that names the registry counts: its host in any spelling, a URL, and for Docker Hub each of its hosts.
    Podman's keys may name a part of the registry; the longest that fits counts.

    Args:
        name: The registry's host, or a repository as HOST/PATH.
        config: Docker's settings folder; None for REGISTRY_AUTH_FILE, DOCKER_CONFIG, `~/.docker` and podman's places.

    Raises:
        RegistryError: The settings or the helper can't be used.
    """
    for path in [config / "config.json"] if config else _files():
        if (settings := _read(path)) is not None and (found := _find(settings, name, path)) is not None:
            return found
    return None


def _files() -> Iterator[Path]:
    """The files that may hold logins, in the order in which they count."""
    if own := os.environ.get("REGISTRY_AUTH_FILE"):
        yield Path(own)
        return
    yield Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / "containers" / "auth.json"
    yield Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "containers" / "auth.json"


def _read(path: Path) -> dict[str, Any] | None:
    try:
        settings = parse_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        # Not chained and not quoted: the file holds passwords.
        reason = error.strerror if isinstance(error, OSError) else "it isn't JSON"
        raise RegistryError(
            f"docker's settings can't be read: {reason}", where=path, next_step="Fix the file"
        ) from None
    if not isinstance(settings, dict):
        raise RegistryError("docker's settings aren't a JSON object", where=path, next_step="Fix the file")
    return settings


def _find(settings: Mapping[str, Any], name: str, path: Path) -> Credentials | None:
    helpers, logins = _table(settings, "credHelpers"), _table(settings, "auths")
    host = host_of(name)
    store = settings.get("credsStore")
    keys = _matching_keys([*helpers, *logins], name)
    for key in keys:
        if helpers.get(key):
            return _ask_helper(str(helpers[key]), key)
        login = logins.get(key)
        if isinstance(login, dict) and (found := _login(login, path)):
            return found
        if store and (found := _ask_helper(str(store), key)):
            return found
    if store and not keys and shutil.which(f"docker-credential-{store}"):
        return _ask_helper(str(store), _HUB_KEY if host == DOCKER_HUB else host)
    return None


def _table(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = settings.get(name)
    return found if isinstance(found, dict) else {}


def _matching_keys(keys: list[str], name: str) -> list[str]:
    """The keys that name the registry or a part of it that holds the repository, the one that counts most first."""
    host, _, path = name.partition("/")
    canonical = host_of(host)

    def fits(key: str) -> bool:
        if host_of(key) != canonical:
            return False
        if _LOGIN_KEY.fullmatch(key):
            return True
        part = "" if "://" in key else key.partition("/")[2].strip("/")
        return bool(part) and f"{path}/".startswith(f"{part}/")

    def rank(key: str) -> tuple[int, bool, str]:
        is_part = not _LOGIN_KEY.fullmatch(key)
        return -len(key) if is_part else 0, key not in (_HUB_KEY, host), key

    return sorted({key for key in keys if fits(key)}, key=rank)


def _login(login: Mapping[str, Any], path: Path) -> Credentials | None:
    """The credentials of an entry of `auths`; None if it has none."""
    if token := login.get("registrytoken"):
        return Credentials.fixed("", str(token), "bearer")
    username, password = str(login.get("username") or ""), str(login.get("password") or "")
    if login.get("auth"):
        username, password = _decode(str(login["auth"]), path)
    if token := login.get("identitytoken"):
        return Credentials.fixed("" if username == _NO_USER else username, str(token), "identity")
    return Credentials.fixed(username, password) if username or password else None


def _decode(auth: str, path: Path) -> tuple[str, str]:
    try:
        username, _, password = base64.b64decode(auth).decode().partition(":")
    except ValueError:
        raise RegistryError(
            "a login in docker's settings can't be read", where=path, next_step="Run docker login again"
        ) from None
    return username, password.rstrip("\0")


def _ask_helper(helper: str, key: str) -> Credentials | None:
    # The protocol: the server's name on stdin, JSON on stdout (docker-credential-helpers).
    program = f"docker-credential-{helper}"
    done = None
    try:
        done = subprocess.run(
            [program, "get"], input=key.encode(), capture_output=True, timeout=_HELPER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        pass  # raised below: this error holds what the helper has printed, which may be the password
    except (OSError, ValueError) as error:
        raise RegistryError(
            f"docker's credential helper can't be run: {error}",
            where=program,
            next_step="Install it, or name a block with credentials",
        ) from error
    if done is None:
        raise RegistryError(
            f"docker's credential helper didn't answer within {_HELPER_SECONDS:g} seconds",
            where=program,
            next_step="Unlock its keychain, or name a block with credentials",
        )
    if done.returncode != 0:
        return None
    try:
        answer = parse_json(done.stdout)
        username, secret = answer["Username"], answer["Secret"]
    except (ValueError, KeyError, TypeError):
        # Not chained: what the helper printed may hold the password.
        raise RegistryError(
            "docker's credential helper gave an answer without a login",
            where=program,
            next_step="Run docker login again, or name a block with credentials",
        ) from None
    if not secret:
        return None
    if username in (_IDENTITY, ""):
        return Credentials.fixed("", str(secret), "identity")
    return Credentials.fixed(str(username), str(secret))
