"""Objects and buckets as the JSON API shows them, and the parameters that all calls share.

https://cloud.google.com/storage/docs/json_api/v1/objects#resource
"""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Mapping
from typing import Any

from ..http.http_messages import Request, StorageApiError, quoted
from ..http.storage_times import api_time
from ..objects.object_store import Preconditions, StoredFile

CLIENT_FIELDS = (
    *("contentType", "contentEncoding", "contentDisposition", "contentLanguage", "cacheControl", "customTime"),
    *("metadata", "storageClass", "eventBasedHold", "temporaryHold"),
)
"""Fields of an object that clients may set."""


def object_resource(found: StoredFile, base: str) -> dict[str, Any]:
    """An object's resource.

    Args:
        found: The object.
        base: What URLs begin with.
    """
    path = f"/storage/v1/b/{quoted(found.bucket)}/o/{quoted(found.name)}"
    resource = {
        "kind": "storage#object",
        "id": f"{found.bucket}/{found.name}/{found.generation}",
        "selfLink": base + path,
        "mediaLink": f"{base}/download{path}?generation={found.generation}&alt=media",
        "name": found.name,
        "bucket": found.bucket,
        "generation": str(found.generation),
        "metageneration": str(found.metageneration),
        "storageClass": "STANDARD",
        "size": str(found.size),
        "etag": etag(found),
        "timeCreated": api_time(found.created),
        "updated": api_time(found.updated),
        "timeStorageClassUpdated": api_time(found.created),
        "timeFinalized": api_time(found.created),
    }
    resource |= {name: value for name, value in (("crc32c", found.crc32c), ("md5Hash", found.md5)) if value}
    return resource | {"contentType": content_type(found)} | dict(found.fields)


def content_type(found: StoredFile) -> str:
    """What the client said, or what the name of a file says that somebody else wrote."""
    return found.fields.get("contentType") or mimetypes.guess_type(found.name)[0] or "application/octet-stream"


def etag(found: StoredFile) -> str:
    """Changes with each change of content or metadata."""
    return base64.b64encode(f"{found.generation}/{found.metageneration}".encode()).decode()


def object_headers(found: StoredFile) -> dict[str, str]:
    """The headers of a download."""
    hashes = [f"{name}={value}" for name, value in (("crc32c", found.crc32c), ("md5", found.md5)) if value]
    headers = {
        "Content-Type": content_type(found),
        "ETag": etag(found),
        "X-Goog-Generation": str(found.generation),
        "X-Goog-Metageneration": str(found.metageneration),
        "X-Goog-Storage-Class": "STANDARD",
        "X-Goog-Stored-Content-Length": str(found.size),
        "X-Goog-Stored-Content-Encoding": found.fields.get("contentEncoding") or "identity",
        "Accept-Ranges": "bytes",
    }
    if hashes:
        headers["X-Goog-Hash"] = ",".join(hashes)
    names = (("contentEncoding", "Content-Encoding"), ("cacheControl", "Cache-Control"))
    names += (("contentDisposition", "Content-Disposition"), ("contentLanguage", "Content-Language"))
    return headers | {header: found.fields[name] for name, header in names if found.fields.get(name)}


def bucket_resource(values: Mapping[str, Any], base: str) -> dict[str, Any]:
    """A bucket's resource."""
    return {
        "kind": "storage#bucket",
        "id": values["name"],
        "selfLink": f"{base}/storage/v1/b/{values['name']}",
        "etag": base64.b64encode(values["metageneration"].encode()).decode(),
        **values,
    }


def preconditions(request: Request, source: str = "") -> Preconditions:
    """The preconditions of a call.

    Args:
        request: The call.
        source: "Source" for those of a rewrite's source.

    Raises:
        StorageApiError: One is no number (400).
    """
    return Preconditions(
        generation=request.number(f"if{source}GenerationMatch"),
        not_generation=request.number(f"if{source}GenerationNotMatch"),
        metageneration=request.number(f"if{source}MetagenerationMatch"),
        not_metageneration=request.number(f"if{source}MetagenerationNotMatch"),
    )


def check_generation(request: Request, found: StoredFile, name: str = "generation") -> None:
    """Raises `StorageApiError` (404) if a call names another generation: earlier ones are not kept."""
    wanted = request.number(name)
    if wanted is not None and wanted != found.generation:
        raise StorageApiError(404, f"No such object: {found.bucket}/{found.name}")


def client_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a client's resource may set; None stands for a field that is to be removed.

    Raises:
        StorageApiError: A value has the wrong type (400).
    """
    fields = {name: values[name] for name in CLIENT_FIELDS if name in values}
    metadata = fields.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise StorageApiError(400, "Invalid value for: metadata")
    return fields


def check_name(name: str) -> None:
    """Raises `StorageApiError` (400) for a name that Cloud Storage refuses.

    https://cloud.google.com/storage/docs/objects#naming
    """
    if not name:
        raise StorageApiError(400, "Required", "required")
    if len(name.encode("utf-8", "surrogateescape")) > 1024:
        raise StorageApiError(400, "The maximum object length is 1024 characters, but got a name with more.")
    if name in {".", ".."} or "\r" in name or "\n" in name or name.startswith(".well-known/acme-challenge/"):
        raise StorageApiError(400, f"Disallowed unicode characters or name: '{name}'")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise StorageApiError(400, "The object's name is not UTF-8.") from error


def part_of_document(document: Any, mask: str) -> Any:  # noqa: ANN401 - JSON
    """A document with only those fields that the parameter `fields` names, as "items(name,size),nextPageToken".

    Raises:
        StorageApiError: The mask can't be read (400).
    """
    return _select(document, _Mask(mask).parse()) if mask and mask != "*" else document


def _select(document: Any, mask: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(document, list):
        return [_select(item, mask) for item in document]
    if not isinstance(document, dict) or not mask or "*" in mask:
        return document
    return {name: _select(value, mask[name]) for name, value in document.items() if name in mask}


class _Mask:
    """Reads a mask; https://cloud.google.com/storage/docs/json_api#partial-response."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def parse(self) -> dict[str, Any]:
        fields = self._list()
        if self._at != len(self._text):
            raise StorageApiError(400, f"Invalid field selection {self._text}", "invalidParameter")
        return fields

    def _list(self) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        while True:
            start = self._at
            while self._at < len(self._text) and self._text[self._at] not in ",()":
                self._at += 1
            *path, last = self._text[start : self._at].strip().split("/")
            level = fields
            for name in path:
                level = level.setdefault(name, {})
            level[last] = self._below()
            if self._at >= len(self._text) or self._text[self._at] != ",":
                return fields
            self._at += 1

    def _below(self) -> dict[str, Any]:
        if self._at >= len(self._text) or self._text[self._at] != "(":
            return {}
        self._at += 1
        below = self._list()
        self._at += 1  # the closing bracket; `parse` notices when it is missing
        return below
