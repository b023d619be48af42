"""Upload sessions: the addresses that a registry opens for blobs, some of them before a blob is known."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar
from urllib.parse import urljoin, urlsplit, urlunsplit

from ...core.errors import RegistryError, RegistryUnavailable
from .answers import Answer
from .transport import Request, Transport

T = TypeVar("T")


class UploadSessions:
    """The upload sessions of one repository; safe to share between threads.

    A session can be opened before its blob is known, so that opening overlaps with other requests.

    Args:
        transport: Sends the requests.
        path: `/v2/REPOSITORY/blobs/uploads/`.
    """

    def __init__(self, transport: Transport, path: str) -> None:
        self._transport = transport
        self._path = path
        self._lock = threading.Lock()
        self._prepared: list[Future[str]] = []
        self._offered: dict[str, str] = {}

    def open(self) -> str:
        """Opens a session; returns its address."""
        return self.address(self._transport.send(Request("POST", self._path, {}, {200, 201, 202}, body=b"")))

    def address(self, answer: Answer) -> str:
        """The address of the session that an answer announces.

        Raises:
            RegistryUnavailable: The answer has no address.
        """
        location = answer.headers.get("Location", "")
        if not location:
            raise RegistryUnavailable(
                "the registry opened an upload without giving its address",
                where=self._transport.host,
                next_step="Check the host's name",
            )
        address = urljoin(self._transport.base + self._path, location)
        base, found = urlsplit(self._transport.base), urlsplit(address)
        # Behind a server that adds TLS, a registry may not know that it is reached by it.
        if (base.scheme, found.scheme, found.netloc) == ("https", "http", base.netloc):
            return urlunsplit(found._replace(scheme="https"))
        return address

    def offer(self, digest: str, address: str) -> None:
        """Keeps a session that the registry opened instead of mounting a blob, for the upload of that blob."""
        self._offered[digest] = address

    def take(self, digest: str) -> str:
        """The address of a session for a blob: a prepared one if there is one, else a new one.

        Raises:
            RegistryError: The registry refused.
        """
        if offered := self._offered.pop(digest, None):
            return offered
        with self._lock:
            prepared = self._prepared.pop() if self._prepared else None
        if prepared:
            with contextlib.suppress(RegistryError):
                return prepared.result()
        return self.open()

    def prepare(self, count: int) -> None:
        """Starts to open `count` sessions, and returns at once."""
        futures = [_in_background(self.open) for _ in range(count)]
        with self._lock:
            self._prepared.extend(futures)

    def discard(self) -> None:
        """Starts to cancel the prepared sessions that nobody took, and returns at once."""
        with self._lock:
            unused, self._prepared = self._prepared, []
        for future in unused:
            future.add_done_callback(self._cancel_in_background)

    def cancel(self, address: str) -> None:
        """Cancels a session; a registry that doesn't support it forgets the session in time."""
        with contextlib.suppress(RegistryError):
            self._transport.send_once(Request("DELETE", address, {}, {200, 202, 204, 404, 405}))

    def _cancel_in_background(self, opened: Future[str]) -> None:
        if opened.exception() is None:
            _in_background(self.cancel, opened.result())


def _in_background(action: Callable[..., T], *args: object) -> Future[T]:
    executor = ThreadPoolExecutor(1, thread_name_prefix="session")
    future = executor.submit(action, *args)
    executor.shutdown(wait=False)
    return future
