"""Credentials for a registry, the challenges that ask for them, and bearer tokens.

Token flow: https://distribution.github.io/distribution/spec/auth/token/ and, for identity tokens, .../oauth/ beside it.
Challenges: https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1.
"""

from __future__ import annotations

import base64
import math
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

_EXPIRY_MARGIN = 30.0
"""Seconds before its end at which a token is no longer used."""
_LONGEST_LIFE = 24 * 3600.0
"""Seconds after which a token is asked for again, whatever its server said."""
_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}")
"""What can stand in an Authorization header; the longest tokens of public services have 5,000 characters."""
_ITEM = re.compile(
    r'\s*(?:(?P<name>[!#$%&\'*+.^_`|~0-9A-Za-z-]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s,"]*))'
    r"|(?P<scheme>[!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:\s+(?P<token68>[A-Za-z0-9._~+/-]+=*)(?=\s*(?:,|$)))?)\s*,?"
)

Kind = Literal["password", "identity", "bearer"]
_TOKENS: dict[str, Kind] = {"identitytoken": "identity", "registrytoken": "bearer"}
"""Docker's names of the tokens that take the place of a password."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name, and a function that gives the current password.

    Attributes:
        username: `oauth2accesstoken` for Google's registries.
        password: Called before each use, so that short-lived tokens stay valid; never shown.
        account: The account for messages; empty if it is the user name.
        kind: What the password is: a password; an identity token, which the registry's token server changes for
            others; or a bearer token of the registry itself.
    """

    username: str
    password: Callable[[], str] = field(repr=False)
    account: str = ""
    kind: Kind = "password"

    @classmethod
    def fixed(cls, username: str, password: str, kind: Kind = "password") -> Credentials:
        """Credentials whose password doesn't change."""
        return cls(username, lambda: password, kind=kind)

    @classmethod
    def of_pair(cls, pair: Mapping[str, str]) -> Credentials:
        """Credentials in the form of `pair`."""
        for name, kind in _TOKENS.items():
            if name in pair:
                return cls.fixed("", pair[name], kind)
        return cls.fixed(pair["username"], pair["password"])

    @property
    def account_name(self) -> str:
        """The account as messages show it."""
        return self.account or self.username or "the login's token"

    def pair(self) -> dict[str, str]:
        """User name and password, or token, in the form that docker-py takes."""
        for name, kind in _TOKENS.items():
            if kind == self.kind:
                return {name: self.password()}
        return {"username": self.username, "password": self.password()}

    def basic(self) -> str:
        """The value of an Authorization header."""
        pair = f"{self.username}:{self.password()}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


CredentialsFor = Callable[[str], Credentials | None]
"""Returns the credentials for a registry's host, or for a repository as HOST/PATH; None for anonymous access."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """The challenge of a 401 response: a scheme in lowercase, and its parameters."""

    scheme: str
    parameters: Mapping[str, str]

    @classmethod
    def parse(cls, *headers: str) -> Challenge:
        """The challenge to answer among those of one or many `WWW-Authenticate` headers: bearer before basic."""
        found = [challenge for header in headers for challenge in cls.all(header)]
        for scheme in ("bearer", "basic"):
            for challenge in found:
                if challenge.scheme == scheme and (scheme == "basic" or challenge.parameters.get("realm")):
                    return challenge
        return found[0] if found else cls("", {})

    @classmethod
    def all(cls, header: str) -> Iterator[Challenge]:
        """Every challenge of one header."""
        scheme, parameters = "", dict[str, str]()
        for match in _items(header):
            if match["name"] is not None and scheme:
                quoted = match["quoted"]
                value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else match["plain"]
                parameters[match["name"].lower()] = value
            elif match["scheme"] is not None:
                if scheme:
                    yield cls(scheme, parameters)
                scheme, parameters = match["scheme"].lower(), {}
        if scheme:
            yield cls(scheme, parameters)

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


def _items(header: str) -> Iterable[re.Match[str]]:
    at = 0
    while at < len(header) and (match := _ITEM.match(header, at)) and match.end() > at:
        yield match
        at = match.end()


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
        """Keeps a token server's answer; the specification's default lifetime is 60 s.

        Raises:
            ValueError: The answer has no usable token.
        """
        token = answer.get("token") or answer.get("access_token") or ""
        if not isinstance(token, str) or (token and not _TOKEN.fullmatch(token)):
            raise ValueError("no token that can be sent")
        lifetime = _seconds(answer.get("expires_in"))
        with self._lock:
            self._tokens[scope] = (token, self._clock() + max(lifetime - _EXPIRY_MARGIN, lifetime / 2))
        return token

    def drop(self, scope: str) -> None:
        """Removes a token that a registry refused."""
        with self._lock:
            self._tokens.pop(scope, None)


def _seconds(value: object) -> float:
    try:
        found = float(value or 60)  # pyright: ignore[reportArgumentType] - whatever a server sent
    except (TypeError, ValueError, OverflowError):
        return 60.0
    return min(found, _LONGEST_LIFE) if found > 0 and not math.isnan(found) else 60.0
