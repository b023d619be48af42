"""Reads objects from Cloud Storage, with the job's own service account; on a person's machine from local_vertex."""

from __future__ import annotations

import http.client
import json
import os
import random
import threading
import time
from typing import Callable, Iterator, Mapping, Tuple
from urllib.parse import quote, urlsplit

_HOST = "https://storage.googleapis.com"
_TOKEN = "/computeMetadata/v1/instance/service-accounts/default/token"  # noqa: S105 - a path
_ATTEMPTS = 6
_SECONDS = 60.0
_PIECE = 1 << 20
_EARLY = 120.0
_TRANSIENT = (408, 429, 500, 502, 503, 504)


class ReadFailed(Exception):
    """An object can't be read; the message names it and the reason."""


class BucketReader:
    """Reads objects. Each thread has its own connection.

    Args:
        environ: The job's variables.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        emulator = environ.get("STORAGE_EMULATOR_HOST", "")
        if emulator and "://" not in emulator:
            emulator = "http://" + emulator
        self._url = urlsplit(emulator.rstrip("/") or _HOST)
        self._metadata = "" if emulator else environ.get("GCE_METADATA_HOST", "metadata.google.internal")
        self._local = threading.local()
        self._lock = threading.Lock()
        self._token = ("", 0.0)

    def read(self, bucket: str, name: str, take: Callable[[bytes], None], first: int = 0, last: int = -1) -> None:
        """Reads an object, or a range of it, and hands its bytes on in pieces.

        Args:
            bucket: The bucket.
            name: The object's name.
            take: Called with each piece. After a cut connection the rest follows; no byte comes twice.
            first: The first byte.
            last: The last byte; -1 for the object's end.

        Raises:
            ReadFailed: There is no such object, the account may not read it, or no answer came.
        """
        wait, done = 0.5, 0
        for attempt in range(_ATTEMPTS):
            try:
                for piece in self._pieces(bucket, name, first + done, last):
                    take(piece)
                    done += len(piece)
                return
            except (OSError, http.client.HTTPException) as error:
                self._local.connection = None
                if attempt + 1 == _ATTEMPTS:
                    raise ReadFailed("gs://%s/%s can't be read: %s" % (bucket, name, error)) from error
            if last >= 0 and done > last - first:
                return
            time.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load
            wait *= 2

    def _pieces(self, bucket: str, name: str, first: int, last: int) -> Iterator[bytes]:
        headers = {"Accept-Encoding": "identity"}
        if first or last >= 0:
            headers["Range"] = "bytes=%d-%s" % (first, last if last >= 0 else "")
        token = self._access_token()
        if token:
            headers["Authorization"] = "Bearer " + token
        path = "%s/storage/v1/b/%s/o/%s?alt=media" % (self._url.path, quote(bucket, ""), quote(name, ""))
        connection = self._connection()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        if answer.status not in (200, 206):
            text = answer.read(500).decode("utf-8", "replace")
            _refuse(answer.status, bucket, name, text)
        left = int(answer.headers.get("Content-Length") or 0)
        while left:
            piece = answer.read(min(_PIECE, left))
            if not piece:
                raise ConnectionError("the connection was cut")
            left -= len(piece)
            yield piece
        answer.read()

    def _connection(self) -> http.client.HTTPConnection:
        found = getattr(self._local, "connection", None)
        if found is None:
            kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
            found = kind(self._url.hostname or "", self._url.port, timeout=_SECONDS)
            self._local.connection = found
        return found

    def _access_token(self) -> str:
        if not self._metadata:
            return ""
        with self._lock:
            token, end = self._token
            if time.time() > end - _EARLY:
                token, seconds = _fetch_token(self._metadata)
                self._token = (token, time.time() + seconds)
            return token


def _fetch_token(host: str) -> Tuple[str, float]:
    connection = http.client.HTTPConnection(host, timeout=_SECONDS)
    try:
        connection.request("GET", _TOKEN, headers={"Metadata-Flavor": "Google"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise ReadFailed("the job's service account has no token: status %d" % answer.status)
        document = json.loads(answer.read().decode("utf-8"))
        return str(document["access_token"]), float(document.get("expires_in", 600))
    finally:
        connection.close()


def _refuse(status: int, bucket: str, name: str, text: str) -> None:
    where = "gs://%s/%s" % (bucket, name)
    if status == 404:
        raise ReadFailed("%s is gone: upload the data again with a new run" % where)
    if status in (401, 403):
        account = "the job's service account may not read it: grant it roles/storage.objectViewer"
        raise ReadFailed("%s: %s (%s)" % (where, account, " ".join(text.split())))
    if status in _TRANSIENT:
        raise ConnectionError("status %d" % status)
    raise ReadFailed("%s: status %d (%s)" % (where, status, " ".join(text.split())))


def machine_threads() -> int:
    """Threads that read at the same time."""
    return max(4, min(16, 2 * (os.cpu_count() or 1)))
