"""HTTP requests to one registry: persistent connections, credentials, retries, and errors of `core.errors`."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import BinaryIO, TypeVar, cast
from urllib.parse import urlencode, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from ...core.errors import RegistryError, RegistryUnavailable
from ...core.retry import backoff, is_transient
from ...core.tls import client_context
from ..oci.registry_host import DOCKER_HUB, DOCKER_HUB_API, is_loopback
from .auth import Challenge, Credentials, TokenCache
from .errors import BODY_LIMIT, connection_error, error_from_response, root_cause

ATTEMPTS = 6
_BLOCK = 256 * 1024
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

    As in docker, plain HTTP is used for loopback addresses only; every other host has its TLS certificate checked.

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
        self._pool = urllib3.PoolManager(
            maxsize=16, block=False, retries=False, blocksize=_BLOCK,
            ssl_context=client_context() if scheme == "https" else None,
        )  # fmt: skip
        self._timeout = urllib3.Timeout(connect=20, read=120)
        self._tokens = TokenCache()
        self._challenge: Challenge | None = None
        self._lock = threading.Lock()

    def send(self, request: Request) -> urllib3.BaseHTTPResponse:
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

    def send_once(self, request: Request) -> urllib3.BaseHTTPResponse:
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

    def _exchange(self, request: Request) -> urllib3.BaseHTTPResponse:
        url = request.path if "://" in request.path else self.base + request.path
        headers = dict(request.headers)
        # The registry chooses an upload's address: credentials go neither to another host nor over plain HTTP.
        if urlsplit(url)[:2] == urlsplit(self.base)[:2] and (value := self._authorization()):
            headers["Authorization"] = value
        stream = request.body() if callable(request.body) else None
        body = request.body if stream is None else stream
        if stream is not None:
            headers["Content-Length"] = str(request.size)
        try:
            answer = self._pool.request(
                request.method,
                url,
                headers=headers,
                body=cast("bytes | BinaryIO | None", body),
                timeout=self._timeout,
                preload_content=not request.stream,
                redirect=request.method in ("GET", "HEAD"),
                retries=urllib3.Retry(
                    total=5, connect=0, read=0, redirect=5, status=0, other=0, raise_on_status=False,
                    remove_headers_on_redirect=["Authorization"],
                ),
            )  # fmt: skip
        except (HTTPError, OSError) as error:
            raise connection_error(error, "the registry", self.host) from error
        finally:
            if stream is not None:
                stream.close()
        if _is_cut(answer):
            raise RegistryUnavailable("the registry's answer was cut off", where=self.host, next_step="Run again")
        return answer

    def _authorization(self) -> str | None:
        challenge = self._challenge
        if challenge is None or challenge.scheme == "basic":
            return self.credentials.basic() if self.credentials else None
        token = self._tokens.get(challenge.scope) or self._fetch_token(challenge)
        return f"Bearer {token}" if token else None

    def _accept_challenge(self, answer: urllib3.BaseHTTPResponse) -> bool:
        """Takes the challenge of a 401 into account; False if the same request would be refused again."""
        challenge = Challenge.parse(answer.headers.get("WWW-Authenticate", ""))
        if challenge.scheme not in ("bearer", "basic"):
            return False
        with self._lock:
            known = self._challenge
            # Threads share the challenge: one that only reads must not remove the scope of another that writes.
            self._challenge = challenge = challenge.joined(known)
        if challenge.scheme == "bearer":
            self._tokens.drop(challenge.scope)
            return True
        # Basic credentials that were sent and refused aren't tried again.
        return known is None and challenge.scheme == "basic" and self.credentials is not None

    def _fetch_token(self, challenge: Challenge) -> str | None:
        realm = challenge.parameters.get("realm", "")
        scope = challenge.scope or f"repository:{self.repository}:pull,push"
        if urlsplit(realm).scheme != "https" and not is_loopback(urlsplit(realm).netloc):
            raise RegistryError(
                f"the registry asks to send credentials to {realm!r}, which is not https",
                where=self.host,
                next_step="Ask the registry's administrator",
            )
        service = challenge.parameters.get("service", self.host)
        query = urlencode([("service", service), *(("scope", part) for part in scope.split())])
        headers = {"Authorization": self.credentials.basic()} if self.credentials else {}
        try:
            answer = self._pool.request(
                "GET", f"{realm}?{query}", headers=headers, timeout=self._timeout, retries=False
            )
        except (HTTPError, OSError) as error:
            raise connection_error(error, "the registry's token server", urlsplit(realm).netloc) from error
        request = Request("GET", realm, {}, {200})
        if answer.status != 200:
            raise self.error(request, answer)
        try:
            return self._tokens.put(challenge.scope, json.loads(answer.data))
        except ValueError as error:
            raise self.error(request, answer) from error

    def error(self, request: Request, answer: urllib3.BaseHTTPResponse) -> RegistryError:
        """The error for an answer with an unexpected status."""
        body = answer.read(BODY_LIMIT) if request.stream else answer.data[:BODY_LIMIT]
        account = self.credentials.account_name if self.credentials else "anonymous access (no credentials)"
        return error_from_response(
            answer, body, method=request.method, host=self.host, repository=self.repository, account=account
        )


class AnswerBody:
    """An answer's body, read while it arrives; a lost connection raises an error of `core.errors`."""

    def __init__(self, answer: urllib3.BaseHTTPResponse, host: str) -> None:
        self._answer = answer
        self._host = host

    def read(self, size: int = -1) -> bytes:
        """Reads up to `size` bytes; empty at the end.

        Raises:
            RegistryUnavailable: The connection was cut, or timed out.
        """
        try:
            return self._answer.read(None if size < 0 else size)
        except (HTTPError, OSError) as error:
            raise RegistryUnavailable(
                f"the registry's answer was cut off: {root_cause(error)}",
                where=self._host,
                next_step="Check your network, then run again",
            ) from error

    def close(self) -> None:
        """Closes the connection without reading the rest of the body, which may be long."""
        self._answer.close()


def _is_cut(answer: urllib3.BaseHTTPResponse) -> bool:
    """Whether the connection ended within the headers, which http.client doesn't notice: each answer has a length."""
    return answer.status != 204 and not {"Content-Length", "Transfer-Encoding"} & {
        name.title() for name in answer.headers
    }
