"""HTTP to one registry: connections kept open, credentials, retries, errors in our tree."""

from __future__ import annotations

import json
import re
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
from ..oci.reference import DOCKER_HUB
from .auth import Challenge, Credentials, TokenCache
from .errors import BODY_LIMIT, no_answer, reason, refusal

ATTEMPTS = 6
_BLOCK = 256 * 1024
_LOOPBACK = re.compile(r"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?")
T = TypeVar("T")

Body = bytes | Callable[[], BinaryIO]


@dataclass(slots=True)
class Request:
    """One request as it may be sent several times.

    Attributes:
        method: GET, HEAD, POST, PUT, DELETE.
        path: Below the host, or a whole URL that the registry named.
        headers: Without Authorization.
        body: Bytes, or what opens a stream from its beginning.
        size: Of a streamed body, bytes.
        expected: Statuses that are answers; others are errors.
        stream: Leave the answer's body to be read.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    expected: Collection[int]
    body: Body | None = None
    size: int | None = None
    stream: bool = False


class Transport:
    """Requests to one repository of one registry.

    Plain HTTP is spoken to loopback addresses only, as docker does; anything else has its TLS certificate checked.

    Args:
        host: With its port.
        repository: For the scope of a token.
        credentials: None asks as nobody.
        sleep: Waits that many seconds.
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
        scheme = "http" if _LOOPBACK.fullmatch(host) else "https"
        self.base = f"{scheme}://{'registry-1.docker.io' if host == DOCKER_HUB else host}"
        self._pool = urllib3.PoolManager(
            maxsize=16, block=False, retries=False, blocksize=_BLOCK,
            ssl_context=client_context() if scheme == "https" else None,
        )  # fmt: skip
        self._timeout = urllib3.Timeout(connect=20, read=120)
        self._tokens = TokenCache()
        self._challenge: Challenge | None = None
        self._lock = threading.Lock()

    def send(self, request: Request) -> urllib3.BaseHTTPResponse:
        """Sends until an expected answer comes; waits between attempts double, or follow the registry's Retry-After.

        Raises:
            RegistryDenied: 401 or 403: who asked, and what to do.
            RegistryUnavailable: No answer, 429 or 5xx, in every attempt.
            RegistryError: Any other status.
        """
        return self.retrying(lambda _: self.send_once(request))

    def retrying(self, action: Callable[[int], T]) -> T:
        """Calls `action` with the attempt's number, from 1, until it fails for good or the attempts are used up."""
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
        """One attempt; a 401 that asks for a token is answered with one.

        Raises:
            RegistryError: As `send`.
        """
        answer = self._once(request)
        if answer.status == 401 and self._renew(answer):
            answer = self._once(request)
        if answer.status in request.expected:
            return answer
        raise self.error(request, answer)

    def _once(self, request: Request) -> urllib3.BaseHTTPResponse:
        url = request.path if "://" in request.path else self.base + request.path
        headers = dict(request.headers)
        # An upload's address is the registry's to choose: another host, or plain HTTP, gets no credentials.
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
            raise no_answer(error, "the registry", self.host) from error
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

    def _renew(self, answer: urllib3.BaseHTTPResponse) -> bool:
        """Learns from a 401; False when asking again would be the same question."""
        challenge = Challenge.parse(answer.headers.get("WWW-Authenticate", ""))
        if challenge.scheme not in ("bearer", "basic"):
            return False
        with self._lock:
            known = self._challenge
            # Threads share it: one that is told to ask for reading must not undo what another needs for writing.
            self._challenge = challenge = challenge.joined(known)
        if challenge.scheme == "bearer":
            self._tokens.drop(challenge.scope)
            return True
        # A fixed password was refused; one made for each use may have run out on its way.
        return known is None and challenge.scheme == "basic" and self.credentials is not None

    def _fetch_token(self, challenge: Challenge) -> str | None:
        realm = challenge.parameters.get("realm", "")
        scope = challenge.scope or f"repository:{self.repository}:pull,push"
        if urlsplit(realm).scheme != "https" and not _LOOPBACK.fullmatch(urlsplit(realm).netloc):
            raise RegistryError(
                f"the registry sends credentials to {realm!r}, which is not https",
                where=self.host,
                next_step="Ask who runs it",
            )
        service = challenge.parameters.get("service", self.host)
        query = urlencode([("service", service), *(("scope", part) for part in scope.split())])
        headers = {"Authorization": self.credentials.basic()} if self.credentials else {}
        try:
            answer = self._pool.request(
                "GET", f"{realm}?{query}", headers=headers, timeout=self._timeout, retries=False
            )
        except (HTTPError, OSError) as error:
            raise no_answer(error, "the registry's token server", urlsplit(realm).netloc) from error
        request = Request("GET", realm, {}, {200})
        if answer.status != 200:
            raise self.error(request, answer)
        try:
            return self._tokens.put(challenge.scope, json.loads(answer.data))
        except ValueError as error:
            raise self.error(request, answer) from error

    def error(self, request: Request, answer: urllib3.BaseHTTPResponse) -> RegistryError:
        """What an answer that nobody wanted means."""
        body = answer.read(BODY_LIMIT) if request.stream else answer.data[:BODY_LIMIT]
        who = self.credentials.who if self.credentials else "nobody (no credentials)"
        return refusal(answer, body, method=request.method, host=self.host, repository=self.repository, who=who)


class AnswerBody:
    """An answer's body as it arrives; a connection that is lost meanwhile is an error of our tree."""

    def __init__(self, answer: urllib3.BaseHTTPResponse, host: str) -> None:
        self._answer = answer
        self._host = host

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, none at the end.

        Raises:
            RegistryUnavailable: The connection was cut, or nothing came in time.
        """
        try:
            return self._answer.read(None if size < 0 else size)
        except (HTTPError, OSError) as error:
            raise RegistryUnavailable(
                f"the registry's answer was cut off: {reason(error)}",
                where=self._host,
                next_step="Check your network, then run again",
            ) from error

    def close(self) -> None:
        """Gives the connection up, for what is left of the body may be long."""
        self._answer.close()


def _is_cut(answer: urllib3.BaseHTTPResponse) -> bool:
    """Whether the connection ended before the header that every answer has: http.client takes what came for all."""
    return answer.status != 204 and not {"Content-Length", "Transfer-Encoding"} & {
        name.title() for name in answer.headers
    }
