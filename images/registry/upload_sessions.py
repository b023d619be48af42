"""The uploads that a registry has opened and that wait for their blob."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar
from urllib.parse import urljoin

import urllib3

from ...core.errors import RegistryError, RegistryUnavailable
from .transport import Request, Transport

T = TypeVar("T")


class UploadSessions:
    """Upload sessions of one repository; threads share it.

    A session is opened before it is known what it is for, so opening can go on beside other questions.

    Args:
        transport: How requests are sent.
        path: `/v2/REPOSITORY/blobs/uploads/`.
    """

    def __init__(self, transport: Transport, path: str) -> None:
        self._transport = transport
        self._path = path
        self._lock = threading.Lock()
        self._ahead: list[Future[str]] = []
        self._offered: dict[str, str] = {}

    def open(self) -> str:
        """Opens one; returns its address."""
        return self.address(self._transport.send(Request("POST", self._path, {}, {202}, body=b"")))

    def address(self, answer: urllib3.BaseHTTPResponse) -> str:
        """Where the registry said that a session is.

        Raises:
            RegistryUnavailable: It didn't say.
        """
        location = answer.headers.get("Location", "")
        if not location:
            raise RegistryUnavailable(
                "the registry opened an upload and didn't say where",
                where=self._transport.host,
                next_step="Check the host's name",
            )
        return urljoin(self._transport.base + self._path, location)

    def offer(self, digest: str, address: str) -> None:
        """Keeps a session that the registry opened by itself, for the blob that it was opened for."""
        self._offered[digest] = address

    def take(self, digest: str) -> str:
        """The address of a session for a blob, opened before or now.

        Raises:
            RegistryError: The registry refused.
        """
        if offered := self._offered.pop(digest, None):
            return offered
        with self._lock:
            waiting = self._ahead.pop() if self._ahead else None
        if waiting:
            with contextlib.suppress(RegistryError):
                return waiting.result()
        return self.open()

    def open_ahead(self, count: int) -> None:
        """Begins to open `count` sessions, and returns at once."""
        futures = [_in_background(self.open) for _ in range(count)]
        with self._lock:
            self._ahead.extend(futures)

    def close_ahead(self) -> None:
        """Begins to give up what nobody took."""
        with self._lock:
            left, self._ahead = self._ahead, []
        for future in left:
            future.add_done_callback(self._give_up_soon)

    def give_up(self, address: str) -> None:
        """Gives a session up; one that the registry can't give up it forgets in time."""
        with contextlib.suppress(RegistryError):
            self._transport.send_once(Request("DELETE", address, {}, {200, 202, 204, 404, 405}))

    def _give_up_soon(self, opened: Future[str]) -> None:
        if opened.exception() is None:
            _in_background(self.give_up, opened.result())


def _in_background(action: Callable[..., T], *args: object) -> Future[T]:
    with_one = ThreadPoolExecutor(1, thread_name_prefix="session")
    future = with_one.submit(action, *args)
    with_one.shutdown(wait=False)
    return future
