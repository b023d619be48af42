"""Objects of a bucket over Cloud Storage's JSON API: small requests in parallel, for which Google's client is slow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode

import urllib3

from ..core.errors import DataError
from ..core.retry import retry
from ..core.security.parsed_text import parse_json

GOOGLE = "https://storage.googleapis.com"
_TIMEOUT = urllib3.Timeout(connect=20, read=120)
_SMALL = 1 << 20
"""Bytes up to which an object is sent in one request. A larger one is sent only after the service agreed to take it."""
_BLOCK = 1 << 20
"""Bytes that are read from a file and sent at a time."""
_WRITER = "objectAdmin"
_TRANSIENT = {408, 429, 500, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class BucketAccess:
    """How to reach a bucket.

    Attributes:
        bucket: Its name.
        url: The service's address, without a slash at its end.
        token: Returns an access token; None for a service that asks for none.
    """

    bucket: str
    url: str = GOOGLE
    token: Callable[[], str] | None = None


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """An object in a list; `generation` changes with each write, `updated` is as the API writes it."""

    name: str
    size: int
    generation: str
    updated: str = ""


class BucketObjects:
    """The objects of one bucket. Threads may share it.

    Args:
        access: How to reach it.
        threads: Number of threads that use it at the same time.
    """

    def __init__(self, access: BucketAccess, threads: int = 8) -> None:
        self.bucket = access.bucket
        self._access = access
        self._pool = urllib3.PoolManager(
            maxsize=threads, block=False, retries=False, timeout=_TIMEOUT, blocksize=_BLOCK
        )

    def put_new(self, name: str, data: bytes | Callable[[], BinaryIO], size: int) -> bool:
        """Writes an object unless there is one of that name; returns whether it was written.

        Args:
            name: The object's name.
            data: The bytes, or what opens a file with them.
            size: Their number.

        Raises:
            DataError: The service refused; transient if no answer came.
        """
        return retry(lambda: self._put_new(name, data, size))

    def _put_new(self, name: str, data: bytes | Callable[[], BinaryIO], size: int) -> bool:
        query = {"ifGenerationMatch": "0", "name": name}
        path = f"upload/storage/v1/b/{quote(self.bucket, safe='')}/o"
        if size <= _SMALL:
            body = data if isinstance(data, bytes) else _read(data)
            answer = self._request("POST", path, {**query, "uploadType": "media"}, body)
            return self._accepted(answer, name)
        begun = self._request("POST", path, {**query, "uploadType": "resumable"}, b"{}")
        if not self._accepted(begun, name):
            return False
        return self._accepted(self._send(begun.headers["Location"], data, size), name)

    def _send(self, session: str, data: bytes | Callable[[], BinaryIO], size: int) -> urllib3.BaseHTTPResponse:
        """Sends the bytes of a resumable upload, from where the service has them after a cut connection."""

        def send() -> urllib3.BaseHTTPResponse:
            done = sent.get("done", 0)
            if sent:
                status = self._session(session, b"", {"Content-Range": f"bytes */{size}", "Content-Length": "0"})
                if status.status != 308:
                    return status
                done = int(status.headers.get("Range", "bytes=0--1").rpartition("-")[2] or -1) + 1
            sent["done"] = done
            headers = {"Content-Range": f"bytes {done}-{size - 1}/{size}", "Content-Length": str(size - done)}
            if isinstance(data, bytes):
                return self._session(session, data[done:], headers)
            with data() as file:
                file.seek(done)
                return self._session(session, file, headers)

        sent: dict[str, int] = {}
        return retry(send)

    def _session(self, session: str, body: bytes | BinaryIO, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        try:
            answer = self._pool.request("PUT", session, body=body, headers=dict(headers))
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(error) from error
        if answer.status in _TRANSIENT:
            raise self._refused(answer, "")
        return answer

    def _accepted(self, answer: urllib3.BaseHTTPResponse, name: str) -> bool:
        if answer.status == 412:
            return False
        if answer.status not in {200, 201}:
            raise self._refused(answer, name)
        return True

    def copy(self, source: str, target: str, bucket: str = "") -> bool:
        """Copies an object, by the service; False if the source is gone. One that is there stays.

        Args:
            source: Its name in this bucket.
            target: Its new name.
            bucket: The bucket that gets it; empty for this one.

        Raises:
            DataError: The service refused.
        """
        here, there = quote(self.bucket, safe=""), quote(bucket or self.bucket, safe="")
        path = f"storage/v1/b/{here}/o/{quote(source, safe='')}/rewriteTo/b/{there}/o/{quote(target, safe='')}"
        query: dict[str, str] = {"ifGenerationMatch": "0"}
        while True:
            answer = retry(lambda: self._request("POST", path, query, b"{}"))
            if answer.status in {404, 412}:
                return answer.status == 412
            document = self._document(answer, target)
            if document.get("done", True):
                return True
            query["rewriteToken"] = document["rewriteToken"]

    def exists(self, name: str) -> bool:
        """Whether there is an object of that name.

        Raises:
            DataError: The service refused.
        """
        path = f"storage/v1/b/{quote(self.bucket, safe='')}/o/{quote(name, safe='')}"
        answer = retry(lambda: self._request("GET", path, {"fields": "size"}))
        if answer.status == 404 and b"bucket" not in answer.data.lower():
            return False
        self._document(answer, name)
        return True

    def read(self, name: str, first: int = 0, last: int = -1) -> bytes | None:
        """An object's bytes, or a range of them; None when there is none.

        Args:
            name: The object's name.
            first: The first byte.
            last: The last byte; -1 for the object's end.

        Raises:
            DataError: The service refused.
        """
        path = f"storage/v1/b/{quote(self.bucket, safe='')}/o/{quote(name, safe='')}"
        span = {"Range": f"bytes={first}-{last if last >= 0 else ''}"} if first or last >= 0 else {}
        answer = retry(lambda: self._request("GET", path, {"alt": "media"}, headers=span))
        if answer.status == 404:
            return None
        if answer.status not in {200, 206}:
            raise self._refused(answer, name)
        return answer.data

    def delete(self, name: str, generation: str = "") -> None:
        """Deletes an object; with a generation only if it is still that one. One that is gone is no error.

        Raises:
            DataError: The service refused.
        """
        path = f"storage/v1/b/{quote(self.bucket, safe='')}/o/{quote(name, safe='')}"
        query = {"ifGenerationMatch": generation} if generation else {}
        answer = retry(lambda: self._request("DELETE", path, query))
        if answer.status not in {200, 204, 404, 412}:
            raise self._refused(answer, name)

    def list(self, prefix: str, glob: str = "") -> Iterator[RemoteObject]:
        """All objects whose names begin with `prefix` and match `glob`, in order.

        Raises:
            DataError: The bucket doesn't exist, or the service refused.
        """
        path = f"storage/v1/b/{quote(self.bucket, safe='')}/o"
        fields = "items(name,size,generation,updated),nextPageToken"
        query = {"prefix": prefix, "fields": fields, "maxResults": "1000"}
        if glob:
            query["matchGlob"] = glob
        while True:
            page = self._document(retry(lambda: self._request("GET", path, query)), prefix, "objectViewer")
            for item in page.get("items", ()):
                yield RemoteObject(
                    item["name"], int(item.get("size", 0)), str(item.get("generation", "")), item.get("updated", "")
                )
            if not page.get("nextPageToken"):
                return
            query["pageToken"] = page["nextPageToken"]

    def location(self) -> str:
        """The bucket's location in lower case, as "europe-west4"; empty where the account may not read it.

        Raises:
            DataError: The bucket doesn't exist.
        """
        path = f"storage/v1/b/{quote(self.bucket, safe='')}"
        answer = retry(lambda: self._request("GET", path, {"fields": "location"}))
        if answer.status in {401, 403}:
            return ""
        return str(self._document(answer, "").get("location", "")).lower()

    def _document(self, answer: urllib3.BaseHTTPResponse, name: str, role: str = _WRITER) -> dict[str, Any]:
        if answer.status != 200:
            raise self._refused(answer, name, role)
        return parse_json(answer.data)

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        headers = {
            **(headers or {}),
            "Content-Type": "application/json" if body == b"{}" else "application/octet-stream",
        }
        if self._access.token:
            headers["Authorization"] = f"Bearer {self._access.token()}"
        try:
            url = f"{self._access.url}/{path}?{urlencode(query)}"
            answer = self._pool.request(method, url, body=body, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(error) from error
        if answer.status in _TRANSIENT:
            raise self._refused(answer, "")
        return answer

    def _unreachable(self, error: Exception) -> DataError:
        return DataError(
            f"Cloud Storage does not answer: {str(error)[:200]}",
            where=f"gs://{self.bucket}",
            next_step="Check the network and run again",
            transient=True,
        )

    def _refused(self, answer: urllib3.BaseHTTPResponse, name: str, role: str = _WRITER) -> DataError:
        where = f"gs://{self.bucket}/{name}".rstrip("/")
        try:
            said = parse_json(answer.data)["error"]["message"]
        except (ValueError, KeyError, TypeError):
            said = answer.data[:200].decode(errors="replace")
        if answer.status in {401, 403}:
            step = f"Grant this account roles/storage.{role} on gs://{self.bucket}"
            return DataError(f"no permission: {said}", where=where, next_step=step)
        if answer.status == 404:
            return DataError(f"not found: {said}", where=where, next_step="Check the bucket's and the object's name")
        return DataError(
            f"Cloud Storage answers {answer.status}: {said}", where=where, transient=answer.status in _TRANSIENT
        )


def _read(data: Callable[[], BinaryIO]) -> bytes:
    whole = bytearray()
    with data() as file:
        while piece := file.read(_BLOCK):
            whole += piece
    return bytes(whole)
