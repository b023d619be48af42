"""Uploads: in one request, with metadata in front, or resumable.

https://cloud.google.com/storage/docs/uploads-downloads
"""

from __future__ import annotations

from typing import Any

from ....core.security.parsed_text import parse_json
from ..http.http_messages import Answer, Body, Request, StorageApiError, json_answer
from ..objects.bucket_store import BucketStore
from ..objects.checksums import Checksums
from ..objects.object_store import NewFile, ObjectStore, Preconditions, StoredFile
from .received_bytes import MultipartUpload, check_hashes, receive, wanted_hashes
from .resources import check_name, client_fields, object_resource, part_of_document, preconditions
from .resumable_uploads import UploadSessions


class UploadCalls:
    """Uploads.

    Args:
        objects: All objects.
        buckets: All buckets.
    """

    def __init__(self, objects: ObjectStore, buckets: BucketStore) -> None:
        self._objects = objects
        self._buckets = buckets
        self._sessions = UploadSessions(objects)

    def insert(self, request: Request, bucket: str) -> Answer:
        """An upload, or the start of a resumable one."""
        self._buckets.require(bucket)
        kind = request.query.get("uploadType") or request.query.get("upload_protocol") or ""
        if request.query.get("upload_id"):
            return self.resume(request)
        if kind == "resumable":
            return self._start(request, bucket)
        if kind == "multipart":
            upload = MultipartUpload(request.body, request.headers.get("content-type", ""))
            return self._whole(request, bucket, _metadata(upload.metadata), upload, upload.headers.get("content-type"))
        if kind == "media":
            return self._whole(request, bucket, {}, request.body, request.headers.get("content-type"))
        raise StorageApiError(400, "Unsupported upload protocol", "badRequest")

    def insert_empty(self, request: Request, bucket: str) -> Answer:
        """An object without bytes: an insert without the upload's path."""
        self._buckets.require(bucket)
        return self._whole(request, bucket, request.read_json(), _Empty(), None)

    def resume(self, request: Request) -> Answer:
        """More bytes of a resumable upload, the question how many there are, or its end."""
        session = self._sessions.get(request.query.get("upload_id", ""))
        if request.method == "DELETE":
            self._sessions.remove(session)
            return Answer(499)
        found = self._sessions.receive(session, request)
        if found is None:
            received = self._sessions.received(session)
            return Answer(308, headers={"Range": f"bytes=0-{received - 1}"} if received else {})
        return self._resource(request, found)

    def start_session(self, request: Request, bucket: str, name: str, fields: dict[str, Any]) -> str:
        """Starts a resumable upload; returns its id."""
        check_name(name)
        conditions = preconditions(request)
        conditions.check(self._objects.find(bucket, name))
        return self._sessions.create(bucket, name, fields, conditions, wanted_hashes(fields, {}))

    def _start(self, request: Request, bucket: str) -> Answer:
        values = request.read_json()
        name = request.query.get("name") or str(values.get("name") or "")
        fields = client_fields(values)
        fields.setdefault("contentType", request.headers.get("x-upload-content-type") or "application/octet-stream")
        if encoding := request.query.get("contentEncoding"):
            fields["contentEncoding"] = encoding
        check_name(name)
        conditions = preconditions(request)
        conditions.check(self._objects.find(bucket, name))
        session = self._sessions.create(bucket, name, fields, conditions, wanted_hashes(values, {}))
        location = f"{request.base}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={session}"
        return Answer(200, headers={"Location": location, "X-GUploader-UploadID": session})

    def _whole(
        self, request: Request, bucket: str, values: dict[str, Any], body: Body, content_type: str | None
    ) -> Answer:
        name = request.query.get("name") or str(values.get("name") or "")
        fields = client_fields(values)
        if content_type:
            fields.setdefault("contentType", content_type)
        if encoding := request.query.get("contentEncoding"):
            fields["contentEncoding"] = encoding
        found = self.store(request, (bucket, name), fields, body, wanted_hashes(values, request.headers))
        return self._resource(request, found)

    def store(
        self, request: Request, target: tuple[str, str], fields: dict[str, Any], body: Body, hashes: dict[str, str]
    ) -> StoredFile:
        """Makes a body an object.

        Args:
            request: The call, for its preconditions.
            target: Bucket and name.
            fields: What the client set.
            body: The object's bytes.
            hashes: The checksums that the client sent.
        """
        check_name(target[1])
        conditions = preconditions(request)
        if conditions != Preconditions():  # refused before the body is read
            conditions.check(self._objects.find(*target))
        new = NewFile(self._objects.new_path(), fields)
        sums = Checksums()
        try:
            with new.path.open("wb", buffering=0) as file:
                receive(body, file, sums)
            check_hashes(hashes, sums)
        except BaseException:
            new.path.unlink(missing_ok=True)
            raise
        new.crc32c, new.md5 = sums.crc32c, sums.md5
        return self._objects.put(*target, new, conditions)

    def _resource(self, request: Request, found: StoredFile) -> Answer:
        document = object_resource(self._objects.with_checksum(found), request.base)
        return json_answer(part_of_document(document, request.query.get("fields", "")))


class _Empty:
    """A body without bytes."""

    def readinto(self, buffer: memoryview) -> int:  # noqa: ARG002 - the protocol's
        return 0


def _metadata(text: bytes) -> dict[str, Any]:
    try:
        values = parse_json(text or b"{}")
    except ValueError as error:
        raise StorageApiError(400, "Parse Error", "parseError") from error
    if not isinstance(values, dict):
        raise StorageApiError(400, "Parse Error", "parseError")
    return values
