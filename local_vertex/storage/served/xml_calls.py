"""What clients use of the XML API: objects by path, and uploads in parts.

https://cloud.google.com/storage/docs/xml-api/overview and
https://cloud.google.com/storage/docs/multipart-uploads, which the transfer manager of google-cloud-storage uses
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from ....core.atomic_files import write_atomic
from ..http.http_messages import Answer, Request, StorageApiError
from ..http.storage_times import api_time, http_time
from ..objects.bucket_store import BucketStore
from ..objects.checksums import Checksums, file_crc32c
from ..objects.object_list import ListQuery, list_objects
from ..objects.object_store import NewFile, ObjectStore, Preconditions, StoredFile
from .object_calls import ObjectCalls
from .received_bytes import check_hashes, receive, wanted_hashes
from .resources import check_name, etag, object_headers
from .upload_calls import UploadCalls

_ID = re.compile(r"[A-Za-z0-9_-]{20,80}")
_PART = re.compile(r"<PartNumber>\s*(\d{1,5})\s*</PartNumber>")
_META = "x-goog-meta-"
_HEADERS = (
    ("content-type", "contentType"),
    ("content-encoding", "contentEncoding"),
    ("content-disposition", "contentDisposition"),
    ("content-language", "contentLanguage"),
    ("cache-control", "cacheControl"),
)
_CODES = {400: "InvalidArgument", 404: "NoSuchKey", 409: "Conflict", 412: "PreconditionFailed", 416: "InvalidRange"}
_NAMESPACE = "xmlns='http://s3.amazonaws.com/doc/2006-03-01/'"
_LIST_NAMESPACE = "xmlns='http://doc.s3.amazonaws.com/2006-03-01'"
_MIB = 1 << 20


class XmlCalls:
    """Calls of the XML API.

    Args:
        objects: All objects.
        buckets: All buckets.
        object_calls: Downloads and deletions.
        uploads: Uploads in one request, and resumable ones.
    """

    def __init__(
        self, objects: ObjectStore, buckets: BucketStore, object_calls: ObjectCalls, uploads: UploadCalls
    ) -> None:
        self._objects = objects
        self._buckets = buckets
        self._calls = object_calls
        self._uploads = uploads

    def bucket(self, request: Request, bucket: str) -> Answer:
        """A list of a bucket's objects."""
        if request.method not in {"GET", "HEAD"}:
            raise StorageApiError(405, "The specified method is not allowed against this resource.")
        self._buckets.require(bucket)
        text = request.query.get
        page = list_objects(
            self._objects,
            ListQuery(
                bucket,
                prefix=text("prefix", ""),
                delimiter=text("delimiter", ""),
                after=text("continuation-token") or text("marker", ""),
                limit=min(request.number("max-keys") or 1000, 1000),
            ),
        )
        items = "".join(
            f"<Contents><Key>{escape(each.name)}</Key><Generation>{each.generation}</Generation>"
            f"<LastModified>{api_time(each.updated)}</LastModified><ETag>{escape(_quoted_etag(each))}</ETag>"
            f"<Size>{each.size}</Size></Contents>"
            for each in page.objects
        )
        prefixes = "".join(f"<CommonPrefixes><Prefix>{escape(p)}</Prefix></CommonPrefixes>" for p in page.prefixes)
        more = f"<NextMarker>{escape(page.after)}</NextMarker>" if page.after else ""
        more += f"<NextContinuationToken>{escape(page.after)}</NextContinuationToken>" if page.after else ""
        return _xml(
            f"<ListBucketResult {_LIST_NAMESPACE}><Name>{bucket}</Name><Prefix>{escape(text('prefix', ''))}</Prefix>"
            f"<IsTruncated>{'true' if page.after else 'false'}</IsTruncated>{more}{items}{prefixes}</ListBucketResult>"
        )

    def object(self, request: Request, bucket: str, name: str) -> Answer:
        """One object by its path."""
        self._buckets.require(bucket)
        request.query = {**_conditions(request), **request.query}
        try:
            return self._object(request, bucket, name)
        except StorageApiError as error:
            return _xml_error(error)

    def _object(self, request: Request, bucket: str, name: str) -> Answer:
        if "uploads" in request.query or "uploadId" in request.query:
            return self._parts(request, bucket, name)
        if request.query.get("upload_id"):
            return self._uploads.resume(request)
        if request.method in {"GET", "HEAD"}:
            answer = self._calls.download(request, bucket, name)
            answer.headers["Last-Modified"] = http_time(self._objects.get(bucket, name).updated)
            return answer
        if request.method == "PUT":
            return self._put(request, bucket, name)
        if request.method == "DELETE":
            return self._calls.delete(request, bucket, name)
        if request.method == "POST" and request.headers.get("x-goog-resumable") == "start":
            session = self._uploads.start_session(request, bucket, name, _fields(request))
            return Answer(201, headers={"Location": f"{request.base}/{request.path}?upload_id={session}"})
        raise StorageApiError(405, "The specified method is not allowed against this resource.")

    def _put(self, request: Request, bucket: str, name: str) -> Answer:
        source = request.headers.get("x-goog-copy-source")
        if source:
            from urllib.parse import unquote

            from_bucket, _, from_name = unquote(source).lstrip("/").partition("/")
            self._calls.copy(request, (from_bucket, from_name), (bucket, name))
            found = self._objects.get(bucket, name)
            return _xml(f"<CopyObjectResult><ETag>{escape(_quoted_etag(found))}</ETag></CopyObjectResult>")
        hashes = wanted_hashes({}, request.headers)
        found = self._uploads.store(request, (bucket, name), _fields(request), request.body, hashes)
        return Answer(200, headers={**object_headers(found), "ETag": _quoted_etag(found)})

    # Uploads in parts

    def _parts(self, request: Request, bucket: str, name: str) -> Answer:
        if request.method == "POST" and "uploads" in request.query:
            return self._begin(request, bucket, name)
        folder = self._folder(request.query.get("uploadId", ""))
        if request.method == "PUT":
            return self._take_part(request, folder)
        if request.method == "POST":
            return self._complete(request, bucket, name, folder)
        if request.method == "DELETE":
            shutil.rmtree(folder, ignore_errors=True)
            return Answer(204)
        raise StorageApiError(405, "The specified method is not allowed against this resource.")

    def _begin(self, request: Request, bucket: str, name: str) -> Answer:
        check_name(name)
        upload = secrets.token_urlsafe(30)
        folder = self._objects.uploads / f"session-{upload}"
        folder.mkdir(mode=0o700)
        write_atomic(folder / "fields.json", json.dumps(_fields(request)))
        return _xml(
            f"<InitiateMultipartUploadResult {_NAMESPACE}><Bucket>{bucket}</Bucket><Key>{escape(name)}</Key>"
            f"<UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
        )

    def _folder(self, upload: str) -> Path:
        folder = self._objects.uploads / f"session-{upload}"
        if not _ID.fullmatch(upload) or not folder.is_dir():
            raise StorageApiError(404, "The requested upload was not found.")
        return folder

    def _take_part(self, request: Request, folder: Path) -> Answer:
        number = request.number("partNumber")
        if number is None or not 1 <= number <= 10_000:
            raise StorageApiError(400, "Part number must be an integer between 1 and 10000, inclusive")
        part, sums = folder / f"{number:05d}", Checksums()
        temporary = folder / f"put-{secrets.token_hex(8)}"
        try:
            with temporary.open("wb", buffering=0) as file:
                receive(request.body, file, sums)
            check_hashes(wanted_hashes({}, request.headers), sums)
            temporary.replace(part)
        finally:
            temporary.unlink(missing_ok=True)
        hashes = f"crc32c={sums.crc32c},md5={sums.md5}"
        return Answer(200, headers={"ETag": f'"{sums.md5}"', "X-Goog-Hash": hashes})

    def _complete(self, request: Request, bucket: str, name: str, folder: Path) -> Answer:
        numbers = [int(number) for number in _PART.findall(request.read_all().decode("utf-8", "replace"))]
        parts = [folder / f"{number:05d}" for number in numbers]
        if not parts or numbers != sorted(set(numbers)) or not all(part.exists() for part in parts):
            raise StorageApiError(400, "One or more of the specified parts could not be found.", "InvalidPart")
        new = NewFile(self._objects.new_path(), json.loads((folder / "fields.json").read_text()))
        try:
            with new.path.open("wb") as whole:
                for part in parts:
                    with part.open("rb") as file:
                        shutil.copyfileobj(file, whole, _MIB)
                    part.unlink()  # the disk need not hold everything twice
            with new.path.open("rb") as whole:
                new.crc32c = file_crc32c(whole)
            found = self._objects.put(bucket, name, new, Preconditions(generation=request.number("ifGenerationMatch")))
        finally:
            new.path.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        return _xml(
            f"<CompleteMultipartUploadResult {_NAMESPACE}><Location>{request.base}/{request.path}</Location>"
            f"<Bucket>{bucket}</Bucket>"
            f"<Key>{escape(name)}</Key><ETag>{escape(_quoted_etag(found))}</ETag></CompleteMultipartUploadResult>",
            {"X-Goog-Generation": str(found.generation), "X-Goog-Hash": f"crc32c={found.crc32c}"},
        )


def _fields(request: Request) -> dict[str, Any]:
    fields: dict[str, Any] = {field: request.headers[name] for name, field in _HEADERS if request.headers.get(name)}
    if metadata := {k[len(_META) :]: v for k, v in request.headers.items() if k.startswith(_META)}:
        fields["metadata"] = metadata
    return fields


def _conditions(request: Request) -> dict[str, str]:
    """The preconditions of the XML API's headers, as parameters of the JSON API."""
    names = (
        ("x-goog-if-generation-match", "ifGenerationMatch"),
        ("x-goog-if-metageneration-match", "ifMetagenerationMatch"),
    )
    return {name: request.headers[header] for header, name in names if header in request.headers}


def _quoted_etag(found: StoredFile) -> str:
    return f'"{etag(found)}"'


def _xml(text: str, headers: dict[str, str] | None = None) -> Answer:
    body = f"<?xml version='1.0' encoding='UTF-8'?>{text}".encode()
    return Answer(200, body, {"Content-Type": "application/xml; charset=UTF-8", **(headers or {})})


def _xml_error(error: StorageApiError) -> Answer:
    code = _CODES.get(error.status, "InternalError")
    answer = _xml(f"<Error><Code>{code}</Code><Message>{escape(error.message)}</Message></Error>")
    return Answer(error.status, answer.body, answer.headers)
