"""One repository of a registry, over the distribution API.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md. A client of our own, on urllib3: python-dxf is
the library that fits best, but it retries nothing and can't take up a lost answer, which is what a push needs most.
Blobs go up in one PUT, for Artifact Registry was documented to know no other way.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, cast
from urllib.parse import quote

from ...core.errors import RegistryDenied, RegistryError
from ..oci.config import DOCKER, OCI
from ..oci.image_types import Descriptor
from ..oci.reference import Reference
from ..oci.target import OpenBody
from ..oci.verifying_reader import VerifyingReader, sha256
from .auth import Credentials
from .transport import AnswerBody, Request, Transport
from .upload_sessions import UploadSessions

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_ACCEPT = {"Accept": ", ".join((OCI.manifest, DOCKER.manifest, *INDEXES))}
_SESSION_LOST = frozenset((200, 202, 301, 307, 308, 400, 404, 405, 416))
"""Answers to an upload's PUT after which a new session can help: the old one is unknown to the registry, or its address
came here cut in half. The body has been checked, so it isn't to blame."""
_SMALL = 256 * 1024
"""Bytes below which a blob is sent in one piece with its request's head."""


class Repository:
    """The images of one repository; threads share it.

    Args:
        reference: Whose host and repository are meant; tag and digest play no part.
        credentials: None asks as nobody.
        transport: How requests are sent; made from the rest when missing.
    """

    def __init__(
        self, reference: Reference, *, credentials: Credentials | None = None, transport: Transport | None = None
    ) -> None:
        self.host = reference.host
        self.repository = reference.repository
        self._transport = transport or Transport(reference.host, reference.repository, credentials)
        self._path = f"/v2/{reference.repository}"
        self._sessions = UploadSessions(self._transport, f"{self._path}/blobs/uploads/")

    def __repr__(self) -> str:
        return f"Repository({self.host}/{self.repository})"

    @property
    def credentials(self) -> Credentials | None:
        """Who asks."""
        return self._transport.credentials

    def check_push(self) -> None:
        """Makes sure that whoever asks may write here: opens an upload, and gives it up.

        Raises:
            RegistryDenied: Who may not, and the command that grants it.
            RegistryError: The host is no registry, or has no such repository.
        """
        self._sessions.give_up(self._sessions.open())

    def open_ahead(self, count: int) -> None:
        """Begins to open `count` uploads, for blobs that aren't known yet; returns at once."""
        self._sessions.open_ahead(count)

    def close_ahead(self) -> None:
        """Begins to give up the uploads that were opened and not used; returns at once."""
        self._sessions.close_ahead()

    def has_blob(self, digest: str) -> bool:
        """Asks for the blob; one request."""
        answer = self._transport.send(Request("HEAD", f"{self._path}/blobs/{digest}", {}, {200, 404}))
        return answer.status == 200

    def put_blob(self, descriptor: Descriptor, open_body: OpenBody) -> None:
        """Uploads a blob, unless it is there; after a lost answer it asks before it sends again.

        Raises:
            RegistryError: The registry refused, or the body isn't what the descriptor says.
        """
        if not self.has_blob(descriptor.digest):
            self.upload_blob(descriptor, open_body)

    def upload_blob(self, descriptor: Descriptor, open_body: OpenBody) -> None:
        """Uploads a blob that isn't there as far as is known.

        Raises:
            RegistryError: As `put_blob`.
        """

        def attempt(number: int) -> None:
            # The answer may be all that was lost of the attempt before; its session is used up in any case.
            if number > 1 and self.has_blob(descriptor.digest):
                return
            location = self._sessions.take(descriptor.digest)
            separator = "&" if "?" in location else "?"
            url = f"{location}{separator}digest={quote(descriptor.digest)}"
            headers = {"Content-Type": "application/octet-stream"}
            body = _body(descriptor, open_body)
            try:
                self._transport.send_once(Request("PUT", url, headers, {201}, body=body, size=descriptor.size))
            except RegistryError as error:
                if error.status in _SESSION_LOST:
                    raise error.replace(transient=True) from error
                raise

        self._transport.retrying(attempt)

    def mount_blob(self, descriptor: Descriptor, source_repository: str) -> bool:
        """Links a blob from another repository of this registry; one request.

        A registry that can't opens an upload instead, which `upload_blob` then uses; or it refuses.
        """
        query = f"?mount={quote(descriptor.digest)}&from={quote(source_repository, safe='')}"
        request = Request("POST", f"{self._path}/blobs/uploads/{query}", {}, {201, 202}, body=b"")
        try:
            answer = self._transport.send(request)
        except RegistryDenied:  # reading the source, perhaps; if it is writing here, the upload says so
            return False
        if answer.status == 201:
            return True
        self._sessions.offer(descriptor.digest, self._sessions.address(answer))
        return False

    def open_blob(self, digest: str) -> BinaryIO:
        """Opens a blob as it arrives, to be closed by the caller; reading to its end raises if its digest is wrong."""
        request = Request("GET", f"{self._path}/blobs/{digest}", {"Accept-Encoding": "identity"}, {200}, stream=True)
        answer = self._transport.send(request)
        length = answer.headers.get("Content-Length")
        where = f"{self.host}/{self.repository}"
        body = cast("BinaryIO", AnswerBody(answer, self.host))
        reader = VerifyingReader(body, digest, int(length) if length else None, where)
        return cast("BinaryIO", reader)

    def head_manifest(self, tag_or_digest: str) -> Descriptor | None:
        """What a tag points to, or that a digest is there; None if not."""
        request = Request("HEAD", f"{self._path}/manifests/{tag_or_digest}", _ACCEPT, {200, 404})
        answer = self._transport.send(request)
        if answer.status == 404:
            return None
        digest = answer.headers.get("Docker-Content-Digest", "")
        size = answer.headers.get("Content-Length")
        if not digest or size is None:  # both are optional in a HEAD's answer
            found = self.get_manifest(tag_or_digest)
            return found[0] if found else None
        return Descriptor(answer.headers.get("Content-Type", ""), digest, int(size))

    def get_manifest(self, tag_or_digest: str) -> tuple[Descriptor, bytes] | None:
        """The manifest's bytes; None if it isn't there.

        Raises:
            RegistryError: They don't have the digest that was asked for, or that the registry names; or are none.
        """
        request = Request("GET", f"{self._path}/manifests/{tag_or_digest}", _ACCEPT, {200, 404})
        answer = self._transport.send(request)
        if answer.status == 404:
            return None
        data = answer.data
        # A login page, or any other web server, says yes to everything; a registry names the digest.
        if "Docker-Content-Digest" not in answer.headers and not data.lstrip().startswith(b"{"):
            raise self._transport.error(request, answer)
        digest = sha256(data)
        named = tag_or_digest if tag_or_digest.startswith("sha256:") else answer.headers.get("Docker-Content-Digest")
        if named and named != digest:
            raise RegistryError(
                f"the registry sent another manifest than it names: wanted {named}, got {digest} of {len(data)} bytes",
                where=f"{self.host}/{self.repository}",
                next_step="Run again; if it stays, ask who runs the registry",
            )
        return Descriptor(answer.headers.get("Content-Type", ""), digest, len(data)), data

    def put_manifest(
        self, data: bytes, media_type: str, tags: Sequence[str] = (), *, at_once: bool = False
    ) -> Descriptor:
        """Makes an image visible, by digest and then by each tag; its blobs must be there.

        The digest goes first: a registry that keeps something else refuses, or shows it, before any tag moves. From
        one that has shown that it keeps what it is given, a round trip can be spared: `at_once`.

        Raises:
            RegistryError: A blob is missing (`code` MANIFEST_BLOB_UNKNOWN), or it is kept under another digest.
        """
        descriptor = Descriptor(media_type, sha256(data), len(data))
        for names in ([descriptor.digest, *tags],) if at_once else ([descriptor.digest], tags):
            with ThreadPoolExecutor(max(len(names), 1)) as pool:
                for done in [pool.submit(self._put_manifest_as, name, data, descriptor) for name in names]:
                    done.result()
        return descriptor

    def _put_manifest_as(self, name: str, data: bytes, descriptor: Descriptor) -> None:
        headers = {"Content-Type": descriptor.media_type}
        answer = self._transport.send(Request("PUT", f"{self._path}/manifests/{name}", headers, {201}, body=data))
        kept = answer.headers.get("Docker-Content-Digest", descriptor.digest)
        if kept != descriptor.digest:
            raise RegistryError(
                f"the registry keeps the image under another digest: wanted {descriptor.digest}, got {kept}",
                where=f"{self.host}/{self.repository}",
                next_step="Ask who runs the registry; nothing of it can be trusted by digest",
            )

    def delete_manifest(self, tag_or_digest: str) -> None:
        """Removes an image by its digest; no error if it isn't there."""
        found = self.head_manifest(tag_or_digest)
        if found is not None:
            path = f"{self._path}/manifests/{found.digest}"
            self._transport.send(Request("DELETE", path, {}, {200, 202, 404}))

    def reference(self, digest: str) -> str:
        """`HOST/REPOSITORY@sha256:...`."""
        return f"{self.host}/{self.repository}@{digest}"


def _body(descriptor: Descriptor, open_body: OpenBody) -> bytes | OpenBody:
    """What is sent; a registry checks a blob's digest itself (OCI distribution 1.1, "Pushing blobs")."""
    if descriptor.size > _SMALL:
        # One that is too short would leave the registry waiting for the rest.
        return lambda: cast("BinaryIO", VerifyingReader(open_body(), None, descriptor.size, descriptor.digest))
    with VerifyingReader(open_body(), descriptor.digest, descriptor.size, descriptor.digest) as body:
        return body.readall()
