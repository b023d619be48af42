"""HTTP requests to one registry: persistent connections, credentials, retries, and errors of `core.errors`."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO, TypeVar, cast
from urllib.parse import urlencode, urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from ...core.errors import RegistryError, RegistryUnavailable
from ...core.network.addresses import AddressGuard, RefusedAddress
from ...core.network.http_pools import Pools
from ...core.network.tls import registry_context
from ...core.retry import backoff, is_transient
from ..oci.documents import parse_object
from ..oci.registry_host import DOCKER_HUB, DOCKER_HUB_API, is_loopback
from .answers import Answer, is_cut, read_answer
from .auth import Challenge, Credentials, TokenCache
from .errors import BODY_LIMIT, connection_error, error_from_response

ATTEMPTS = 6
_BLOCK = 256 * 1024
_CONNECTIONS = 64
"""Connections that are kept: as many as blobs of an image that are asked for at once."""
_CLIENT = "prefect-vertex-training"
"""The name by which token servers know this client."""
_NO_GET = frozenset((404, 405))
_MOVED = frozenset((307, 308))
"""Redirects that keep the method and the body."""
_MOVES = 3
T = TypeVar("T")

Body = bytes | Callable[[], BinaryIO]


@dataclass(slots=True)
class Request:
    """A request, which may be sent several times.

    Attributes:
        method: GET, HEAD, POST, PUT, DELETE.
        path: The path below the host, or a whole URL that the registry gave.
        headers: The headers without Authorization.
        body: Bytes, or a function that opens a stream from its beginning.
        size: Bytes of a streamed body.
        expected: Statuses to return; others raise an error.
        stream: Leave the answer's body for the caller to read.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    expected: Collection[int]
    body: Body | None = None
    size: int | None = None
    stream: bool = False


class Transport:
    """Sends the requests for one repository of one registry.

    As in docker, plain HTTP is used for loopback addresses only, unless they speak TLS; every other host has its TLS
    certificate checked.

    Args:
        host: The registry's host with its port, in the canonical form of `oci.registry_host`.
        repository: Used in the scope of tokens.
        credentials: None for anonymous access.
        sleep: Waits for a number of seconds.
    """

    def __init__(
        self,
        host: str,
        repository: str,
        credentials: Credentials | None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.host = host
        self.repository = repository
        self.credentials = credentials
        self._sleep = sleep
        scheme = "http" if is_loopback(host) else "https"
        self.base = f"{scheme}://{DOCKER_HUB_API if host == DOCKER_HUB else host}"
        guard = AddressGuard(urlsplit(self.base).hostname or host)
        self._pool = Pools(
            guard, connections=_CONNECTIONS, block=_BLOCK, trust=partial(registry_context, host)
        )  # fmt: skip
        self._timeout = urllib3.Timeout(connect=20, read=120)
        self._tokens = TokenCache()
        self._challenge: Challenge | None = None
        self._lock = threading.Lock()
        self._has_answered = False

    def send(self, request: Request) -> Answer:
        """Sends a request, again after transient errors; waits double each time or follow the registry's Retry-After.

        Raises:
            RegistryDenied: 401 or 403; names the account and the next step.
            RegistryUnavailable: No answer, 429 or 5xx in every attempt.
            RegistryError: Any other status.
        """
        return self.retrying(lambda _: self.send_once(request))

    def retrying(self, action: Callable[[int], T]) -> T:
        """Calls `action` with the number of the attempt, up to ATTEMPTS times, until it succeeds or fails for good."""
        waits = backoff(base=0.2, limit=10.0)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return action(attempt)
            except RegistryError as error:
                if attempt == ATTEMPTS or not is_transient(error):
                    raise
                asked = error.retry_after if isinstance(error, RegistryUnavailable) else 0.0
                self._sleep(max(next(waits), asked))
        raise AssertionError("the last attempt returns or raises")

    def send_once(self, request: Request) -> Answer:
        """Sends a request once, or twice if a 401 asks for a token.

        Raises:
            RegistryError: As for `send`.
        """
        answer = self._exchange(request)
        if answer.status == 401 and self._accept_challenge(answer):
            answer = self._exchange(request)
        if answer.status in request.expected:
            return answer
        raise self.error(request, answer)

    def _exchange(self, request: Request) -> Answer:
        """Sends a request once; the first to a loopback address again with TLS if that is what is spoken there."""
        try:
            answer = self._send(request)
        except RegistryUnavailable:
            if not self._switches_to_tls():
                raise
            return self._send(request)
        if answer.status == 400 and self._switches_to_tls():
            return self._send(request)
        self._has_answered = True
        for _ in range(_MOVES):
            if (moved := self._moved(request, answer)) is None:
                break
            request, answer = moved, self._send(moved)
        return answer

    def _moved(self, request: Request, answer: Answer) -> Request | None:
        """The request for where a redirect leads; None for another answer, or to go on without TLS.

        As in docker, a load balancer may send a push to another host. Redirects of GET and HEAD were followed before.
        """
        location = answer.headers.get("Location", "")
        if answer.status not in _MOVED or not location:
            return None
        before = self._url(request)
        after = urljoin(before, location)
        return None if before.startswith("https:") and not after.startswith("https:") else replace(request, path=after)

    def _url(self, request: Request) -> str:
        return request.path if "://" in request.path else self.base + request.path

    def _switches_to_tls(self) -> bool:
        if self._has_answered or not self.base.startswith("http://") or not _speaks_tls(urlsplit(self.base).netloc):
            return False
        self.base = self.base.replace("http://", "https://", 1)
        return True

    def _send(self, request: Request) -> Answer:
        url = self._url(request)
        headers = {"Accept-Encoding": "identity", **request.headers}
        # The registry chooses an upload's address: credentials go neither to another host nor over plain HTTP.
        if urlsplit(url)[:2] == urlsplit(self.base)[:2] and (value := self._authorization()):
            headers["Authorization"] = value
        stream = request.body() if callable(request.body) else None
        body = request.body if stream is None else stream
        if stream is not None:
            headers["Content-Length"] = str(request.size)
        try:
            return self._request(
                request.method,
                url,
                headers=headers,
                body=cast("bytes | BinaryIO | None", body),
                stream=request.stream,
            )
        except RefusedAddress as error:
            raise self._refused(error) from error
        except (HTTPError, OSError) as error:
            raise connection_error(error, "the registry", self.host) from error
        finally:
            if stream is not None:
                stream.close()

    def _request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | BinaryIO | None, stream: bool = False
    ) -> Answer:
        answer = self._pool.request(
            method,
            url,
            headers=headers,
            body=body,
            timeout=self._timeout,
            preload_content=False,
            redirect=method in ("GET", "HEAD"),
            retries=urllib3.Retry(
                total=5, connect=0, read=0, redirect=5, status=0, other=0, raise_on_status=False,
                remove_headers_on_redirect=["Authorization"],
            ),
        )  # fmt: skip
        if is_cut(answer, method):
            answer.close()
            raise RegistryUnavailable("the registry's answer was cut off", where=self.host, next_step="Run again")
        if stream and answer.status < 400:
            return Answer(answer.status, answer.headers, stream=answer)
        return read_answer(answer, self.host)

    def _authorization(self) -> str | None:
        if self.credentials and self.credentials.kind == "bearer":
            return f"Bearer {self.credentials.password()}"
        challenge = self._challenge
        if challenge is None or challenge.scheme == "basic":
            usable = self.credentials and self.credentials.kind == "password"
            return self.credentials.basic() if self.credentials and usable else None
        token = self._tokens.get(challenge.scope) or self._fetch_token(challenge)
        return f"Bearer {token}" if token else None

    def _accept_challenge(self, answer: Answer) -> bool:
        """Takes the challenge of a 401 into account; False if the same request would be refused again."""
        challenge = Challenge.parse(*answer.challenges())
        if challenge.scheme not in ("bearer", "basic"):
            return False
        with self._lock:
            known = self._challenge
            # Threads share the challenge: one that only reads must not remove the scope of another that writes.
            self._challenge = challenge = challenge.joined(known)
        if challenge.scheme == "bearer":
            self._tokens.drop(challenge.scope)
            return self.credentials is None or self.credentials.kind != "bearer"
        # Basic credentials that were sent and refused aren't tried again.
        return known is None and challenge.scheme == "basic" and self.credentials is not None

    def _fetch_token(self, challenge: Challenge) -> str | None:
        realm = challenge.parameters.get("realm", "")
        if not realm:
            raise RegistryError(
                "the registry asks for a token and doesn't say where it is to be had",
                where=self.host,
                next_step="Check the registry's host name, or ask its administrator",
            )
        # On a loopback registry the token server may speak plain HTTP too; the connection's address is checked.
        if urlsplit(realm).scheme != "https" and not is_loopback(urlsplit(realm).netloc):
            raise RegistryError(
                f"the registry asks to send credentials to {realm!r}, which is not https",
                where=self.host,
                next_step="Ask the registry's administrator",
            )
        try:
            answer = self._ask_token_server(realm, challenge)
        except RefusedAddress as error:
            raise self._refused(error) from error
        except (HTTPError, OSError) as error:
            raise connection_error(error, "the registry's token server", urlsplit(realm).netloc) from error
        request = Request("GET", realm, {}, {200})
        if answer.status != 200:
            raise self.error(request, answer)
        try:
            return self._tokens.put(challenge.scope, parse_object(answer.data, "token", self.host))
        except ValueError as error:
            raise RegistryError(
                "the registry's token server gave an answer without a usable token",
                where=urlsplit(realm).netloc,
                next_step="Ask the registry's administrator",
            ) from error

    def _ask_token_server(self, realm: str, challenge: Challenge) -> Answer:
        """The answer of the token server: to a GET with the password, or to a POST as in OAuth 2."""
        scope = challenge.scope or f"repository:{self.repository}:pull,push"
        query = [("service", challenge.parameters.get("service", self.host))]
        login = self.credentials
        if login is None or login.kind != "identity":
            headers = {"Authorization": login.basic()} if login else {}
            address = urlencode([*query, *(("scope", part) for part in scope.split())])
            separator = "&" if "?" in realm else "?"
            answer = self._request("GET", f"{realm}{separator}{address}", headers=headers, body=None)
            if answer.status not in _NO_GET or login is None:
                return answer
            form = [("grant_type", "password"), ("username", login.username), ("password", login.password())]
        else:
            form = [("grant_type", "refresh_token"), ("refresh_token", login.password())]
        data = urlencode([*form, *query, ("scope", scope), ("client_id", _CLIENT)]).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._request("POST", realm, headers=headers, body=data)

    def error(self, request: Request, answer: Answer) -> RegistryError:
        """The error for an answer with an unexpected status."""
        account = self.credentials.account_name if self.credentials else "anonymous access (no credentials)"
        return error_from_response(
            answer.status, answer.headers, answer.data[:BODY_LIMIT],
            method=request.method, host=self.host, repository=self.repository, account=account,
        )  # fmt: skip

    def _refused(self, error: RefusedAddress) -> RegistryError:
        return RegistryError(
            f"nothing was sent: {error}",
            where=self.host,
            next_step="Check the registry's host name, or ask its administrator",
        )


def _speaks_tls(netloc: str) -> bool:
    """Whether a loopback address begins a TLS handshake; nothing else is sent, so the certificate doesn't matter."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    name, _, port = netloc.rpartition(":") if not netloc.endswith("]") and ":" in netloc else (netloc, "", "443")
    try:
        with (
            socket.create_connection((name.strip("[]"), int(port)), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=name.strip("[]")),
        ):
            return True
    except (OSError, ValueError):
        return False
