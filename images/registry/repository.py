"""A repository of a registry, through the OCI distribution API.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md. This is our own client, on urllib3:
python-dxf is the library that comes closest, but it has no retries and can't recover from a lost answer, which a push
needs most. A blob is sent in one PUT, the only way that Artifact Registry was documented to support.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, cast
from urllib.parse import quote

from ...core.errors import RegistryError
from ..oci.config import DOCKER, OCI
from ..oci.documents import INDEXES, MANIFEST_LIMIT
from ..oci.image_types import Descriptor
from ..oci.reference import DIGEST, Reference
from ..oci.target import ImageTarget, OpenBody
from ..oci.verifying_reader import VerifyingReader, sha256
from .answers import Answer, AnswerBody
from .auth import Credentials
from .transport import Request, Transport
from .upload_sessions import UploadSessions

_ACCEPT = {"Accept": ", ".join((OCI.manifest, DOCKER.manifest, *INDEXES))}
_STORED = frozenset((200, 201, 202, 204))
"""Statuses of a PUT that stored what it was sent; 201 says so for certain, after others the registry is asked."""
_TAG_KEPT = frozenset((400, 403, 405, 409, 412))
"""Statuses with which registries refuse to move a tag: 400 in Amazon's and Artifact Registry, 409 in Azure's, 412 in
Harbor, 403 in others."""
_MISSING_BLOB = frozenset(("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"))
_SESSION_LOST = frozenset((301, 307, 308, 400, 404, 405, 416))
"""Statuses of an upload's PUT after which a new session can help: the registry doesn't know the old one, or its address
arrived cut in half. The body was checked, so it isn't the cause."""
_NO_HEAD = frozenset((405, 501))
"""Statuses with which servers before a registry refuse the method HEAD."""
_SMALL = 256 * 1024
"""Bytes up to which a blob is sent in one piece with its request's headers."""


class Repository:
    """The images of one repository; safe to share between threads.

    Args:
        reference: Names the host and the repository; its tag and digest are ignored.
        credentials: None for anonymous access.
        transport: Sends the requests; None creates one.

    Attributes:
        kept_tags: The tags that the registry refused to move, in `put_manifest`.
    """

    def __init__(
        self, reference: Reference, *, credentials: Credentials | None = None, transport: Transport | None = None
    ) -> None:
        self.host = reference.host
        self.repository = reference.repository
        self._transport = transport or Transport(reference.host, reference.repository, credentials)
        self.kept_tags: list[str] = []
        self._path = f"/v2/{reference.repository}"
        self._sessions = UploadSessions(self._transport, f"{self._path}/blobs/uploads/")

    def __repr__(self) -> str:
        return f"Repository({self.host}/{self.repository})"

    @property
    def credentials(self) -> Credentials | None:
        """The credentials that requests are sent with; None for anonymous access."""
        return self._transport.credentials

    def check_push(self) -> None:
        """Checks that the account may push here: opens an upload and cancels it.

        Raises:
            RegistryDenied: The account may not push; names the command that grants the permission.
            RegistryError: The host is not a registry, or has no such repository.
        """
        self._sessions.cancel(self._sessions.open())

    def prepare_uploads(self, count: int) -> None:
        """Starts to open `count` uploads for blobs that aren't known yet, and returns at once."""
        self._sessions.prepare(count)

    def discard_uploads(self) -> None:
        """Starts to cancel the prepared uploads that weren't used, and returns at once."""
        self._sessions.discard()

    def has_blob(self, digest: str) -> bool:
        """Whether the registry has the blob; one request."""
        return self.blob_size(digest) is not None

    def blob_size(self, digest: str) -> int | None:
        """Bytes of a blob, -1 if the registry doesn't say; None if it doesn't have it. One request."""
        path = f"{self._path}/blobs/{digest}"
        answer = self._transport.send(Request("HEAD", path, {}, {200, 404, *_NO_HEAD}))
        if answer.status in _NO_HEAD:
            answer = self._transport.send(Request("GET", path, {}, {200, 404}, stream=True))
            if answer.stream is not None:
                answer.stream.close()  # unread: the question was only whether it is there
        if answer.status != 200:
            return None
        length = answer.headers.get("Content-Length", "")
        return int(length) if length.isdecimal() and int(length) else -1

    def put_blob(self, descriptor: Descriptor, open_body: OpenBody) -> None:
        """Uploads a blob unless the registry has it.

        Raises:
            RegistryError: The registry refused, or the body doesn't match the descriptor.
        """
        if not self.has_blob(descriptor.digest):
            self.upload_blob(descriptor, open_body)

    def upload_blob(self, descriptor: Descriptor, open_body: OpenBody) -> None:
        """Uploads a blob without asking first; after a lost answer it asks before it sends again.

        Raises:
            RegistryError: As for `put_blob`.
        """

        def attempt(number: int) -> None:
            # Perhaps only the answer to the attempt before was lost; its session can't be used again in any case.
            if number > 1 and self.has_blob(descriptor.digest):
                return
            location = self._sessions.take(descriptor.digest)
            separator = "&" if "?" in location else "?"
            url = f"{location}{separator}digest={quote(descriptor.digest)}"
            headers = {"Content-Type": "application/octet-stream"}
            body = _body(descriptor, open_body)
            try:
                answer = self._transport.send_once(
                    Request("PUT", url, headers, _STORED, body=body, size=descriptor.size)
                )
            except RegistryError as error:
                if error.status in _SESSION_LOST:
                    raise error.replace(transient=True) from error
                raise
            if answer.status != 201 and not self.has_blob(descriptor.digest):
                raise RegistryError(
                    f"the registry answered {answer.status} to a blob and doesn't have it",
                    where=f"{self.host}/{self.repository}",
                    next_step="Run again",
                    transient=True,
                )

        self._transport.retrying(attempt)

    def mount_blob(self, descriptor: Descriptor, source: ImageTarget) -> bool:
        """Links a blob of another repository in this registry; one request.

        A registry that doesn't support it refuses, or opens an upload instead, which `upload_blob` then uses.
        """
        if source.host != self.host:
            return False
        query = f"?mount={quote(descriptor.digest)}&from={quote(source.repository, safe='')}"
        request = Request("POST", f"{self._path}/blobs/uploads/{query}", {}, {200, 201, 202}, body=b"")
        try:
            answer = self._transport.send(request)
        except RegistryError as error:  # perhaps only for reading the source; for writing, the upload will say so
            if error.transient:
                raise
            return False
        if answer.status == 201 or (answer.status == 200 and self.has_blob(descriptor.digest)):
            return True
        self._sessions.offer(descriptor.digest, self._sessions.address(answer))
        return False

    def open_blob(self, digest: str) -> BinaryIO:
        """Opens a blob while it arrives, to be closed by the caller; reading to its end checks the digest."""
        request = Request("GET", f"{self._path}/blobs/{digest}", {"Accept-Encoding": "identity"}, {200}, stream=True)
        answer = self._transport.send(request)
        length = answer.headers.get("Content-Length", "")
        where = f"{self.host}/{self.repository}"
        body = cast("BinaryIO", AnswerBody(answer, self.host))
        reader = VerifyingReader(body, digest, int(length) if length.isdecimal() else None, where)
        return cast("BinaryIO", reader)

    def head_manifest(self, tag_or_digest: str) -> Descriptor | None:
        """The manifest that a tag or digest names; None if there is none."""
        request = Request("HEAD", f"{self._path}/manifests/{tag_or_digest}", _ACCEPT, {200, 404, *_NO_HEAD})
        answer = self._transport.send(request)
        if answer.status == 404:
            return None
        digest = answer.headers.get("Docker-Content-Digest", "")
        size = answer.headers.get("Content-Length", "")
        # Both are optional in a HEAD's answer, and some registries announce no bytes there, or know no HEAD.
        if answer.status in _NO_HEAD or not DIGEST.fullmatch(digest) or not size.isdecimal() or int(size) == 0:
            found = self.get_manifest(tag_or_digest)
            return found[0] if found else None
        return Descriptor(_media_type(answer), digest, int(size))

    def get_manifest(self, tag_or_digest: str) -> tuple[Descriptor, bytes] | None:
        """A manifest's descriptor and bytes; None if there is none.

        Raises:
            RegistryError: The bytes don't have the requested digest or the one that the registry names, or the answer
                is not a manifest.
        """
        request = Request("GET", f"{self._path}/manifests/{tag_or_digest}", _ACCEPT, {200, 404})
        answer = self._transport.send(request)
        if answer.status == 404:
            return None
        data = answer.data
        # A login page answers 200 to every request; a registry names the digest.
        if "Docker-Content-Digest" not in answer.headers and not data.lstrip().startswith(b"{"):
            raise self._transport.error(request, answer)
        if len(data) > MANIFEST_LIMIT:
            raise RegistryError(
                f"the manifest has {len(data):,} bytes, and {MANIFEST_LIMIT:,} are allowed",
                where=f"{self.host}/{self.repository}",
                next_step="Check the image's name",
            )
        digest = sha256(data)
        named = tag_or_digest if tag_or_digest.startswith("sha256:") else answer.headers.get("Docker-Content-Digest")
        if named and named != digest:
            raise RegistryError(
                f"the registry sent a manifest with another digest: wanted {named}, got {digest} of {len(data)} bytes",
                where=f"{self.host}/{self.repository}",
                next_step="Run again; if it stays, ask the registry's administrator",
            )
        return Descriptor(_media_type(answer), digest, len(data)), data

    def put_manifest(
        self, data: bytes, media_type: str, tags: Sequence[str] = (), *, concurrently: bool = False
    ) -> Descriptor:
        """Publishes an image by digest, then by each tag; its blobs must be there.

        The digest goes first: a registry that stores other bytes than it was given refuses, or shows it, before any tag
        moves. `concurrently` saves a round trip with a registry that has stored manifests unchanged before. A tag that
        the registry refuses to move stays where it is, and is listed in `kept_tags`.

        Raises:
            RegistryError: A blob is missing (`code` MANIFEST_BLOB_UNKNOWN), or the registry stores another digest.
        """
        descriptor = Descriptor(media_type, sha256(data), len(data))
        if concurrently:
            self._put_all([descriptor.digest, *tags], data, descriptor)
        else:
            self._put_as(descriptor.digest, data, descriptor)
            self._put_all(tags, data, descriptor)
        return descriptor

    def _put_all(self, names: Collection[str], data: bytes, descriptor: Descriptor) -> None:
        with ThreadPoolExecutor(max(len(names), 1)) as pool:
            for done in [pool.submit(self._put_as_or_keep, name, data, descriptor) for name in names]:
                done.result()

    def _put_as_or_keep(self, name: str, data: bytes, descriptor: Descriptor) -> None:
        try:
            self._put_as(name, data, descriptor)
        except RegistryError as error:
            is_kept = error.status in _TAG_KEPT and error.code not in _MISSING_BLOB
            if not is_kept or self.head_manifest(name) is None:
                raise
            if name != descriptor.digest and name not in self.kept_tags:
                self.kept_tags.append(name)

    def _put_as(self, name: str, data: bytes, descriptor: Descriptor) -> None:
        headers = {"Content-Type": descriptor.media_type}
        path = f"{self._path}/manifests/{name}"
        answer = self._transport.send(Request("PUT", path, headers, _STORED, body=data))
        kept = answer.headers.get("Docker-Content-Digest", descriptor.digest)
        if answer.status != 201:
            found = self.head_manifest(name)
            kept = found.digest if found else "nothing"
        if kept != descriptor.digest:
            raise RegistryError(
                f"the registry stores the image under another digest: wanted {descriptor.digest}, got {kept}",
                where=f"{self.host}/{self.repository}",
                next_step="Ask the registry's administrator: its digests can't be relied on",
            )

    def reference(self, digest: str) -> str:
        """`HOST/REPOSITORY@sha256:...`."""
        return f"{self.host}/{self.repository}@{digest}"


def _media_type(answer: Answer) -> str:
    """The media type of an answer, without parameters like `charset`."""
    return answer.headers.get("Content-Type", "").partition(";")[0].strip()


def _body(descriptor: Descriptor, open_body: OpenBody) -> bytes | OpenBody:
    """The body of an upload; the registry checks its digest (OCI distribution 1.1, "Pushing blobs")."""
    if descriptor.size > _SMALL:
        # The size is checked here: a body that is too short would leave the registry waiting for the rest.
        return lambda: cast("BinaryIO", VerifyingReader(open_body(), None, descriptor.size, descriptor.digest))
    with VerifyingReader(open_body(), descriptor.digest, descriptor.size, descriptor.digest) as body:
        return body.readall()
