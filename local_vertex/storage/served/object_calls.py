"""Calls on objects: read, list, change, delete, compose, rewrite.

https://cloud.google.com/storage/docs/json_api/v1/objects
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shutil
from typing import Any, BinaryIO

from ..http.http_messages import Answer, Request, StorageApiError, json_answer
from ..objects.bucket_store import BucketStore
from ..objects.checksums import file_crc32c
from ..objects.object_list import ListQuery, list_objects
from ..objects.object_store import NewFile, ObjectStore, Preconditions, StoredFile
from .resources import (
    check_generation,
    check_name,
    client_fields,
    etag,
    object_headers,
    object_resource,
    part_of_document,
    preconditions,
)

_MAX_PAGE = 1000
_MAX_SOURCES = 32
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_MIB = 1 << 20


class ObjectCalls:
    """Calls on objects.

    Args:
        objects: All objects.
        buckets: All buckets.
    """

    def __init__(self, objects: ObjectStore, buckets: BucketStore) -> None:
        self._objects = objects
        self._buckets = buckets

    def get(self, request: Request, bucket: str, name: str) -> Answer:
        """An object's metadata, or with `alt=media` its bytes."""
        self._buckets.require(bucket)
        if request.query.get("alt") == "media":
            return self.download(request, bucket, name)
        found = self._objects.get(bucket, name)
        check_generation(request, found)
        preconditions(request).check(found, reads=True)
        if _has_etag(request, found):
            raise StorageApiError(304, "Not Modified")
        return self._resource(request, found)

    def download(self, request: Request, bucket: str, name: str) -> Answer:
        """An object's bytes, or a range of them."""
        self._buckets.require(bucket)
        file, found = self._objects.open(bucket, name)
        try:
            check_generation(request, found)
            preconditions(request).check(found, reads=True)
            if _has_etag(request, found):
                raise StorageApiError(304, "Not Modified")
            return _download(request, file, found)
        except BaseException:
            file.close()
            raise

    def list(self, request: Request, bucket: str) -> Answer:
        """A page of a bucket's objects."""
        self._buckets.require(bucket)
        text = request.query.get
        size = request.number("maxResults")
        if size is not None and size < 0:
            raise StorageApiError(400, "Invalid unsigned integer value", "invalid")
        query = ListQuery(
            bucket,
            prefix=text("prefix", ""),
            delimiter=text("delimiter", ""),
            includes_delimiter=request.flag("includeTrailingDelimiter"),
            match_glob=text("matchGlob", ""),
            start=text("startOffset", ""),
            end=text("endOffset", ""),
            after=_after(text("pageToken", "")),
            limit=min(size or _MAX_PAGE, _MAX_PAGE),
        )
        if request.flag("softDeleted"):
            return json_answer({"kind": "storage#objects"})
        try:
            page = list_objects(self._objects, query)
        except (ValueError, re.error) as error:
            raise StorageApiError(400, "Invalid glob: a bracket or brace is not closed", "invalid") from error
        document: dict[str, Any] = {"kind": "storage#objects"}
        if page.after:
            document["nextPageToken"] = base64.urlsafe_b64encode(page.after.encode()).decode()
        if page.prefixes:
            document["prefixes"] = page.prefixes
        if page.objects:
            found = map(self._objects.with_checksum, page.objects)
            document["items"] = [object_resource(each, request.base) for each in found]
        return json_answer(part_of_document(document, text("fields", "")))

    def update(self, request: Request, bucket: str, name: str) -> Answer:
        """Changes an object's metadata: some fields (PATCH), or all (PUT)."""
        self._buckets.require(bucket)
        values = client_fields(request.read_json())
        check_generation(request, self._objects.get(bucket, name))
        found = self._objects.update(bucket, name, values, preconditions(request), replace=request.method == "PUT")
        return self._resource(request, found)

    def delete(self, request: Request, bucket: str, name: str) -> Answer:
        """Deletes an object."""
        self._buckets.require(bucket)
        if request.number("generation") is not None:
            check_generation(request, self._objects.get(bucket, name))
        self._objects.delete(bucket, name, preconditions(request))
        return Answer(204)

    def compose(self, request: Request, bucket: str, name: str) -> Answer:
        """Joins up to 32 objects of a bucket into one."""
        self._buckets.require(bucket)
        check_name(name)
        body = request.read_json()
        sources = body.get("sourceObjects") or []
        if not isinstance(sources, list) or not 1 <= len(sources) <= _MAX_SOURCES:
            text = f"The number of source components provided ({len(sources)}) exceeds the maximum (32)"
            raise StorageApiError(400, text if sources else "You must provide at least one source component.")
        conditions = preconditions(request)
        conditions.check(self._objects.find(bucket, name))
        new = NewFile(self._objects.new_path(), client_fields(body.get("destination") or {}))
        with contextlib.ExitStack() as cleanup:
            cleanup.callback(new.path.unlink, missing_ok=True)
            count = 0
            with new.path.open("wb") as target:
                for source in sources:
                    count += self._append(bucket, source, target)
            with new.path.open("rb") as whole:
                new.crc32c = file_crc32c(whole)
            new.fields["componentCount"] = count
            found = self._objects.put(bucket, name, new, conditions)
        return self._resource(request, found)

    def _append(self, bucket: str, source: dict[str, Any], target: BinaryIO) -> int:
        file, found = self._objects.open(bucket, str(source.get("name") or ""))
        with file:
            wanted = source.get("generation") or (source.get("objectPreconditions") or {}).get("ifGenerationMatch")
            Preconditions(generation=int(wanted) if wanted else None).check(found)
            shutil.copyfileobj(file, target, _MIB)
        return int(found.fields.get("componentCount") or 1)

    def rewrite(self, request: Request, source: tuple[str, str], target: tuple[str, str]) -> Answer:
        """Copies an object, in one call."""
        copied = self._copy(request, source, target)
        return json_answer(
            part_of_document(
                {
                    "kind": "storage#rewriteResponse",
                    "totalBytesRewritten": str(copied.size),
                    "objectSize": str(copied.size),
                    "done": True,
                    "resource": object_resource(copied, request.base),
                },
                request.query.get("fields", ""),
            )
        )

    def copy(self, request: Request, source: tuple[str, str], target: tuple[str, str]) -> Answer:
        """Copies an object."""
        return self._resource(request, self._copy(request, source, target))

    def move(self, request: Request, bucket: str, name: str, target: str) -> Answer:
        """Renames an object within its bucket."""
        copied = self._copy(request, (bucket, name), (bucket, target))
        if target != name:
            self._objects.delete(bucket, name, Preconditions())
        return self._resource(request, copied)

    def _copy(self, request: Request, source: tuple[str, str], target: tuple[str, str]) -> StoredFile:
        self._buckets.require(source[0])
        self._buckets.require(target[0])
        check_name(target[1])
        body = client_fields(request.read_json())
        conditions = preconditions(request)
        file, found = self._objects.open(*source)
        with file:
            check_generation(request, found, "sourceGeneration")
            preconditions(request, "Source").check(found)
            conditions.check(self._objects.find(*target))
            new = NewFile(self._objects.new_path(), {**found.fields, **body}, found.crc32c, found.md5)
            try:
                with new.path.open("wb") as out:
                    _copy_bytes(file, out, found.size)
                if not new.crc32c:
                    with new.path.open("rb") as whole:
                        new.crc32c = file_crc32c(whole)
                return self._objects.put(*target, new, conditions)
            finally:
                new.path.unlink(missing_ok=True)

    def _resource(self, request: Request, found: StoredFile) -> Answer:
        document = object_resource(self._objects.with_checksum(found), request.base)
        return json_answer(part_of_document(document, request.query.get("fields", "")), headers={"ETag": etag(found)})


def _copy_bytes(source: BinaryIO, target: BinaryIO, size: int) -> None:
    """Copies within the kernel where it can; some file systems then share the blocks."""
    try:
        done = 0
        while done < size:
            count = os.copy_file_range(source.fileno(), target.fileno(), size - done)
            if not count:
                break
            done += count
    except (OSError, AttributeError):
        source.seek(0)
        target.seek(0)
        shutil.copyfileobj(source, target, _MIB)


def _download(request: Request, file: BinaryIO, found: StoredFile) -> Answer:
    headers = object_headers(found)
    span = byte_range(request.headers.get("range", ""), found.size)
    if span is None:
        return Answer(200, headers=headers, file=file, length=found.size)
    first, last = span
    headers["Content-Range"] = f"bytes {first}-{last}/{found.size}"
    return Answer(206, headers=headers, file=file, offset=first, length=last - first + 1)


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """First and last byte of a Range header; None for the whole object, which headers of other forms mean, too.

    Raises:
        StorageApiError: The range lies behind the object's end (416).
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        first, last = max(0, size - int(match[2])), size - 1
    else:
        first, last = int(match[1]), min(int(match[2] or size), size - 1)
        if match[2] and int(match[2]) < first:
            return None
    if first >= size or (not match[1] and int(match[2]) == 0):
        raise StorageApiError(416, "The requested range cannot be satisfied.", location=("header", "Range"))
    return first, last


def _has_etag(request: Request, found: StoredFile) -> bool:
    tags = [tag.strip().strip('"') for tag in request.headers.get("if-none-match", "").split(",")]
    return etag(found) in tags or "*" in tags


def _after(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except ValueError as error:
        raise StorageApiError(400, "Invalid value for: pageToken", "invalid") from error
