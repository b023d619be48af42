"""Downloads wheels, checks their SHA-256, and resumes downloads after a cut connection or a killed process."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import urllib3

from ...core.errors import WheelError, storage_errors
from ...core.metering.meter import DOWNLOADING, Item, Meter
from ...core.network.addresses import AddressGuard, RefusedAddress
from ...core.network.http_pools import Pools
from ...core.network.index_logins import REFUSALS, IndexLogins, without_login
from ...core.network.login_sources import Login
from ...core.retry import retry
from .lockfile import LockedWheel

_BLOCK = 256 * 1024
_TIMEOUT = urllib3.Timeout(connect=15, read=60)
_CONNECTIONS = 16  # to one host; no fewer than threads that download
_RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})
ANEW = "--refresh"
"""The option of a run that resolves the dependencies although nothing of the list has changed."""


class Downloader:
    """Downloads wheels into a folder; safe to share between threads.

    Honours the variables for proxies, SSL_CERT_FILE and .netrc. Credentials are sent to their server, never shown.

    Args:
        folder: The folder of unfinished downloads, named by their SHA-256.
        stopped: Ends running downloads when it is set.
        sleep: Waits between attempts, in seconds.
        logins: The logins of private indexes.
    """

    def __init__(
        self,
        folder: Path,
        *,
        stopped: threading.Event | None = None,
        sleep: Callable[[float], None] = time.sleep,
        logins: IndexLogins | None = None,
    ) -> None:
        self._folder = folder
        self._stopped = stopped or threading.Event()
        self._sleep = sleep
        self._logins = logins or IndexLogins()
        self._pools = Pools(AddressGuard(None), connections=_CONNECTIONS)

    def fetch(self, wheel: LockedWheel, counted: Item | None = None) -> Path:
        """The path of the wheel: its file on this machine, or a download that is kept until `release`.

        Two callers must not fetch the same wheel at the same time.

        Args:
            wheel: The wheel.
            counted: Where its bytes are counted.

        Raises:
            WheelError: The wheel doesn't exist, or has another hash than the lock says; transient if a retry may help.
            StorageError: The disk is full.
        """
        if isinstance(wheel.source, Path):
            return _checked_file(wheel, wheel.source)
        url = wheel.source
        part = self._folder / f"{wheel.sha256}.part"
        with storage_errors(part):
            self._folder.mkdir(parents=True, exist_ok=True)
            counted = counted or Meter(DOWNLOADING).item(wheel.size or None)
            digest = retry(lambda: self._transfer(wheel, url, part, counted), sleep=self._sleep)
        if digest != wheel.sha256:
            part.unlink()
            raise _not_locked(wheel, digest)
        return part

    def release(self, path: Path) -> None:
        """Removes a download; files that were on this machine before stay."""
        if path.parent == self._folder:
            path.unlink(missing_ok=True)

    def _transfer(self, wheel: LockedWheel, url: str, part: Path, counted: Item) -> str:
        """Downloads the rest of the wheel into `part`; returns the SHA-256 of the whole file."""
        digest = hashlib.sha256()
        with part.open("ab+") as file:
            file.seek(0)
            while block := file.read(_BLOCK):
                digest.update(block)
            start = file.tell()
            if start and start == wheel.size:
                return digest.hexdigest()
            try:
                response = self._request(wheel, url, start)
                if start and response.status != 206:  # the server doesn't support ranges, or has fewer bytes
                    file.truncate(0)
                    digest, start = hashlib.sha256(), 0
                counted.resume(start)
                for block in self._blocks(wheel, response):
                    file.write(block)
                    digest.update(block)
                    counted.add(len(block))
            except RefusedAddress as error:
                raise WheelError(
                    f"{wheel.filename} isn't downloaded: {error}",
                    where=_host(url),
                    next_step="Check the index's address",
                ) from error
            except (urllib3.exceptions.HTTPError, OSError) as error:
                if not isinstance(error, urllib3.exceptions.HTTPError | ConnectionError | TimeoutError):
                    raise
                problem = getattr(error, "reason", None) or error
                raise _unreachable(wheel, url, type(problem).__name__) from error
        return digest.hexdigest()

    def _blocks(self, wheel: LockedWheel, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        with contextlib.closing(response):  # does nothing once everything was read: the connection is then kept
            for block in response.stream(_BLOCK, decode_content=False):
                if self._stopped.is_set():
                    raise WheelError(f"the download of {wheel.filename} was stopped")
                yield block

    def _answer(self, url: str, start: int, login: Login | None) -> urllib3.BaseHTTPResponse:
        headers = {"Accept-Encoding": "identity"}
        if login:
            headers |= urllib3.make_headers(basic_auth=":".join(login))
        if start:
            headers["Range"] = f"bytes={start}-"
        return self._pools.request(
            "GET",
            without_login(url),
            headers=headers,
            preload_content=False,
            timeout=_TIMEOUT,
            retries=urllib3.Retry(None, connect=0, read=0, status=0, other=0, redirect=5),
        )

    def _request(self, wheel: LockedWheel, url: str, start: int) -> urllib3.BaseHTTPResponse:
        """Requests the bytes from `start` on; the status is 200 for the whole file, 206 for the rest."""
        logins = self._logins.each(url)
        response = self._answer(url, start, next(logins, None))
        while response.status in REFUSALS and (login := next(logins, None)):
            response.close()
            response = self._answer(url, start, login)
        if response.status in {200, 206}:
            return response
        response.close()
        if response.status == 416 and start:
            return self._request(wheel, url, 0)
        if response.status in _RETRYABLE:
            raise _unreachable(wheel, url, f"HTTP {response.status}")
        gone = response.status in {404, 410}
        raise WheelError(
            f"can't download {wheel.filename}: HTTP {response.status}",
            where=_host(url),
            next_step=f"Resolve the dependencies anew: {ANEW}"
            if gone
            else "Check the index's credentials: in its URL, in .netrc, or in uv's or pip's settings",
        )


def _checked_file(wheel: LockedWheel, path: Path) -> Path:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WheelError(
            f"can't read {wheel.filename}: {error.strerror}", where=path, next_step="Lock the dependencies again"
        ) from error
    if digest != wheel.sha256:
        raise _not_locked(wheel, digest)
    return path


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _unreachable(wheel: LockedWheel, url: str, problem: str) -> WheelError:
    return WheelError(
        f"can't download {wheel.filename}: {problem}",
        where=_host(url),
        next_step="Check the network, then run again: the download will be resumed; if that server is gone, resolve "
        f"the dependencies anew: {ANEW}",
        transient=True,
    )


def _not_locked(wheel: LockedWheel, digest: str) -> WheelError:
    return WheelError(
        f"{wheel.filename} isn't the wheel in the lock: sha256 {digest[:12]}..., not {wheel.sha256[:12]}...",
        where=wheel.source if isinstance(wheel.source, Path) else _host(wheel.source),
        next_step="Lock the dependencies again",
    )
