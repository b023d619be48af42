"""Reads objects from Cloud Storage, with the job's own service account; on a person's machine from local_vertex."""

from __future__ import annotations

import http.client
import json
import os
import random
import threading
import time
from typing import Any, Callable, Dict, Iterator, List, Mapping, Tuple
from urllib.parse import quote, urlencode, urlsplit

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

    def read(
        self,
        bucket: str,
        name: str,
        take: Callable[[bytes], None],
        first: int = 0,
        last: int = -1,
        *,
        generation: str = "",
    ) -> None:
        """Reads an object, or a range of it, and hands its bytes on in pieces.

        Args:
            bucket: The bucket.
            name: The object's name.
            take: Called with each piece. After a cut connection the rest follows; no byte comes twice.
            first: The first byte.
            last: The last byte; -1 for the object's end.
            generation: Of the object that is wanted; empty for the newest.

        Raises:
            ReadFailed: There is no such object, the account may not read it, or no answer came.
        """
        path = "b/%s/o/%s?alt=media" % (quote(bucket, ""), quote(name, ""))
        if generation:
            path += "&generation=" + quote(generation, "")
        where = "gs://%s/%s" % (bucket, name)
        done = 0

        def rest() -> None:
            nonlocal done
            if last >= 0 and done > last - first:
                return
            headers = {"Accept-Encoding": "gzip"}  # an object that is stored compressed comes as it is stored
            if first + done or last >= 0:
                headers["Range"] = "bytes=%d-%s" % (first + done, last if last >= 0 else "")
            for piece in self._pieces(path, where, headers):
                take(piece)
                done += len(piece)

        self._repeated(rest, where)

    def list(self, bucket: str, prefix: str) -> Iterator[Dict[str, Any]]:
        """The objects whose names begin with `prefix`, in order: `name`, `size`, `generation`, and mostly `md5Hash`.

        Raises:
            ReadFailed: There is no such bucket, the account may not list it, or no answer came.
        """
        fields = "items(name,size,generation,md5Hash),nextPageToken"
        query = {"prefix": prefix, "fields": fields, "maxResults": "1000"}
        where = "gs://%s/%s" % (bucket, prefix)
        while True:
            path = "b/%s/o?%s" % (quote(bucket, ""), urlencode(query))
            pages: List[bytes] = []
            self._repeated(lambda: pages.append(b"".join(self._pieces(path, where, {}))), where)  # noqa: B023 - called here
            try:
                page = json.loads(pages[0].decode("utf-8"))
            except ValueError as error:
                raise ReadFailed("%s can't be listed: %s" % (where, error)) from error
            for item in page.get("items", ()):
                yield item
            if not page.get("nextPageToken"):
                return
            query["pageToken"] = page["nextPageToken"]

    def _repeated(self, action: Callable[[], None], where: str) -> None:
        """Does something, and again after a while where no whole answer came."""
        wait = 0.5
        for attempt in range(_ATTEMPTS):
            try:
                action()
                return
            except (OSError, http.client.HTTPException) as error:
                self._local.connection = None
                if attempt + 1 == _ATTEMPTS:
                    raise ReadFailed("%s can't be read: %s" % (where, error)) from error
            time.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load
            wait *= 2

    def _pieces(self, path: str, where: str, headers: Mapping[str, str]) -> Iterator[bytes]:
        sent = dict(headers)
        token = self._access_token()
        if token:
            sent["Authorization"] = "Bearer " + token
        connection = self._connection()
        connection.request("GET", "%s/storage/v1/%s" % (self._url.path, path), headers=sent)
        answer = connection.getresponse()
        if answer.status not in (200, 206):
            text = answer.read(500).decode("utf-8", "replace")
            _refuse(answer.status, where, text)
        length = answer.headers.get("Content-Length")
        left = int(length) if length else -1  # -1: in chunks, whose end says that the answer is whole
        while left:
            piece = answer.read(min(_PIECE, left) if left > 0 else _PIECE)
            if not piece and left > 0:
                raise ConnectionError("the connection was cut")
            if not piece:
                return
            left -= len(piece) if left > 0 else 0
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


def _refuse(status: int, where: str, text: str) -> None:
    if status == 404:
        raise ReadFailed("%s is gone: start a new run, which brings the data again" % where)
    if status in (401, 403):
        account = "the job's service account may not read it: grant it roles/storage.objectViewer"
        raise ReadFailed("%s: %s (%s)" % (where, account, " ".join(text.split())))
    if status in _TRANSIENT:
        raise ConnectionError("status %d" % status)
    raise ReadFailed("%s: status %d (%s)" % (where, status, " ".join(text.split())))


def machine_threads() -> int:
    """Threads that read at the same time."""
    return max(4, min(16, 2 * (os.cpu_count() or 1)))
