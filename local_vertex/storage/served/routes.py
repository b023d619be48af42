"""Which call a request makes, by its method and path; and several calls in one request.

https://cloud.google.com/storage/docs/json_api/v1 and https://cloud.google.com/storage/docs/batch
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from ..http.http_messages import Answer, Request, StorageApiError, error_answer, json_answer
from ..objects.bucket_store import BucketStore
from ..objects.object_store import ObjectStore
from .bucket_calls import BucketCalls
from .object_calls import ObjectCalls
from .received_bytes import header_parameter
from .upload_calls import UploadCalls
from .xml_calls import XmlCalls

_MAX_BATCH = 100
_NO_DISK = {28, 122}  # ENOSPC, EDQUOT


class Routes:
    """Answers all requests.

    Args:
        objects: All objects.
        buckets: All buckets.
        account: The service account that the API names.
    """

    def __init__(self, objects: ObjectStore, buckets: BucketStore, account: str) -> None:
        self._account = account
        self._buckets = BucketCalls(objects, buckets)
        self._objects = ObjectCalls(objects, buckets)
        self._uploads = UploadCalls(objects, buckets)
        self._xml = XmlCalls(objects, buckets, self._objects, self._uploads)

    def __call__(self, request: Request) -> Answer:
        """The answer to a request.

        Raises:
            StorageApiError: The request is refused.
        """
        parts = request.path.split("/")
        try:
            return self._route(request, parts)
        except OSError as error:
            if error.errno not in _NO_DISK:
                raise
            raise StorageApiError(507, f"This machine's disk: {error.strerror}") from error

    def _route(self, request: Request, parts: Sequence[str]) -> Answer:
        match parts:
            case ["batch", "storage", "v1"] | ["batch"]:
                return self._batch(request)
            case ["upload", "storage", "v1", "b", bucket, "o"] | [
                "resumable",
                "upload",
                "storage",
                "v1",
                "b",
                bucket,
                "o",
            ]:
                return self._upload(request, unquote(bucket))
            case ["download", "storage", "v1", "b", bucket, "o", name]:
                return self._objects.download(request, unquote(bucket), unquote(name))
            case ["storage", "v1", *rest]:
                return self._json(request, [unquote(part) for part in rest])
            case [bucket] | [bucket, ""] if bucket:
                return self._xml.bucket(request, unquote(bucket))
            case [bucket, *name] if bucket:
                return self._xml.object(request, unquote(bucket), unquote("/".join(name)))
        raise not_served(request)

    def _upload(self, request: Request, bucket: str) -> Answer:
        if request.method == "POST" and not request.query.get("upload_id"):
            return self._uploads.insert(request, bucket)
        return self._uploads.resume(request)

    def _json(self, request: Request, parts: list[str]) -> Answer:  # noqa: PLR0911 - a table
        match parts:
            case ["projects", _, "serviceAccount"]:
                return json_answer({"kind": "storage#serviceAccount", "email_address": self._account})
            case ["b"]:
                return self._buckets.create(request) if request.method == "POST" else self._buckets.list(request)
            case ["b", bucket]:
                return self._bucket(request, bucket)
            case ["b", bucket, "o"]:
                create = request.method == "POST"
                return (self._uploads.insert_empty if create else self._objects.list)(request, bucket)
            case ["b", bucket, "o", name]:
                return self._object(request, bucket, name)
            case ["b", bucket, "o", name, *action]:
                return self._action(request, bucket, name, action)
            case ["b", bucket, *action]:
                return self._bucket_action(request, bucket, action)
        raise not_served(request)

    def _bucket(self, request: Request, bucket: str) -> Answer:
        calls = {
            "GET": self._buckets.get,
            "HEAD": self._buckets.get,
            "PATCH": self._buckets.update,
            "PUT": self._buckets.update,
            "DELETE": self._buckets.delete,
        }
        return _chosen(request, calls)(request, bucket)

    def _bucket_action(self, request: Request, bucket: str, action: list[str]) -> Answer:
        match action:
            case ["storageLayout"]:
                return self._buckets.layout(request, bucket)
            case ["iam", "testPermissions"]:
                asked = [value for name, value in request.pairs if name == "permissions"]
                return self._buckets.permissions(request, bucket, asked)
            case ["iam"]:
                return self._buckets.policy(request, bucket)
            case ["notificationConfigs" | "acl" | "defaultObjectAcl" | "managedFolders" | "folders" as kind] if (
                request.method == "GET"
            ):
                self._buckets.get(request, bucket)
                return json_answer({"kind": f"storage#{kind}"})
        raise not_served(request)

    def _object(self, request: Request, bucket: str, name: str) -> Answer:
        calls = {
            "GET": self._objects.get,
            "HEAD": self._objects.get,
            "PATCH": self._objects.update,
            "PUT": self._objects.update,
            "DELETE": self._objects.delete,
        }
        return _chosen(request, calls)(request, bucket, name)

    def _action(self, request: Request, bucket: str, name: str, action: list[str]) -> Answer:
        if request.method == "POST":
            match action:
                case ["compose"]:
                    return self._objects.compose(request, bucket, name)
                case ["rewriteTo", "b", to_bucket, "o", to_name]:
                    return self._objects.rewrite(request, (bucket, name), (to_bucket, to_name))
                case ["copyTo", "b", to_bucket, "o", to_name]:
                    return self._objects.copy(request, (bucket, name), (to_bucket, to_name))
                case ["moveTo", "o", to_name]:
                    return self._objects.move(request, bucket, name, to_name)
        if action == ["acl"] and request.method == "GET":
            self._objects.get(request, bucket, name)
            return json_answer({"kind": "storage#objectAccessControls"})
        raise not_served(request)

    def _batch(self, request: Request) -> Answer:
        boundary = header_parameter(request.headers.get("content-type", ""), "boundary").encode()
        if not boundary:
            raise StorageApiError(400, "Failed to parse batch request: no boundary", "badRequest")
        body = b"\r\n" + request.read_all().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        parts = [part for part in body.split(b"\r\n--" + boundary)[1:] if not part.startswith(b"--")]
        if len(parts) > _MAX_BATCH:
            raise StorageApiError(400, f"The batch request has more than {_MAX_BATCH} calls.", "badRequest")
        answers = [self._batch_part(request, part) for part in parts]
        mark = "batch_of_answers"
        whole = b"".join(f"--{mark}\r\n".encode() + answer + b"\r\n" for answer in answers) + f"--{mark}--\r\n".encode()
        return Answer(200, whole, {"Content-Type": f"multipart/mixed; boundary={mark}"})

    def _batch_part(self, request: Request, part: bytes) -> bytes:
        """One call of a batch: headers of the part, then an HTTP request; and its answer in the same form."""
        outer, _, inner = part.lstrip(b"\r\n").partition(b"\r\n\r\n")
        ids = _headers(outer).get("content-id", "")
        head, _, body = inner.partition(b"\r\n\r\n")
        line, _, rest = head.partition(b"\r\n")
        words = line.decode("latin-1").split()
        if len(words) < 2:
            raise StorageApiError(400, "Failed to parse batch request", "badRequest")
        url = urlsplit(words[1])
        secret = f"/{request.base.rpartition('/')[2]}/"
        path = url.path.removeprefix(secret) if url.path.startswith(secret) else url.path.lstrip("/")
        pairs = parse_qsl(url.query, keep_blank_values=True)
        body = body.rstrip(b"\r\n")
        call = Request(words[0], path, dict(pairs), _headers(rest), _Bytes(body), len(body), request.base, pairs)
        try:
            answer = self(call)
        except StorageApiError as error:
            answer = error_answer(error)
        if answer.file is not None:
            answer.file.close()
            answer = error_answer(StorageApiError(400, "Batch requests can't download objects.", "badRequest"))
        mark = f"Content-ID: <response-{ids.lstrip('<').rstrip('>')}>\r\n" if ids else ""
        lines = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
        begin = f"Content-Type: application/http\r\n{mark}\r\nHTTP/1.1 {answer.status} Answer\r\n{lines}"
        return f"{begin}Content-Length: {len(answer.body)}\r\n\r\n".encode() + answer.body


class _Bytes:
    """A body that is in memory."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)

    def readinto(self, buffer: memoryview) -> int:
        return self._stream.readinto(buffer)


def _headers(text: bytes) -> dict[str, str]:
    lines = text.decode("latin-1").splitlines()
    return {name.strip().lower(): value.strip() for name, colon, value in (x.partition(":") for x in lines) if colon}


_Call = TypeVar("_Call", bound=Callable[..., Answer])


def _chosen(request: Request, calls: Mapping[str, _Call]) -> _Call:
    call = calls.get(request.method)
    if call is None:
        raise StorageApiError(405, f"{request.method} is not allowed here.")
    return call


def not_served(request: Request) -> StorageApiError:
    """The error for a call that this server doesn't have."""
    return StorageApiError(404, f"Cloud Storage on this machine serves no {request.method} /{request.path}", "notFound")
