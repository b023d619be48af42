"""Object storage for models: Cloud Storage, or folders on this machine, with one interface."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ...core.atomic_files import atomic_file, write_atomic
from ...core.background.imports import one_importer
from ...core.errors import VertexError
from .call_context import CallContext
from .errors import mapped

if TYPE_CHECKING:
    from google.auth.credentials import Credentials


_PIECE = 1 << 20
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object below a prefix; `path` is relative to it, `size` in bytes, `updated` in seconds since 1970."""

    path: str
    size: int
    updated: float = 0.0


class Document(NamedTuple):
    """A small object's content and its generation, which changes with every write and is never 0."""

    data: bytes
    generation: int


_LOOK_UP_SECONDS = 30.0


class Sink(Protocol):
    """A destination for bytes: a file, or a checksum."""

    def write(self, data: bytes, /) -> int:
        """Consumes all of `data`; returns its length."""
        ...


class ModelStore(Protocol):
    """Reads objects by `gs://BUCKET/PREFIX`, and writes small documents beside them."""

    def objects(self, uri: str) -> list[StoredObject]:
        """Every object below `uri`, sorted by path, without folder markers.

        Raises:
            VertexError: Access was refused, or the storage could not be reached (transient).
        """
        ...

    def folders(self, uri: str) -> list[str]:
        """The names of the folders directly below `uri`, sorted; objects there are left out.

        Raises:
            VertexError: As `objects`.
        """
        ...

    def read(self, uri: str, sink: Sink, start: int = 0) -> None:
        """Writes one object's bytes from `start` on to `sink`, in order and in pieces.

        Raises:
            VertexError: As `objects`; or the object changed or was damaged while it was read (transient).
        """
        ...

    def document(self, uri: str) -> Document | None:
        """Reads a small object; None when there is none.

        Raises:
            VertexError: As `objects`.
        """
        ...

    def write(self, uri: str, data: bytes, *, generation: int) -> bool:
        """Writes a small object if its generation is still `generation` (0: it does not exist); else returns False.

        A call whose answer was lost may be repeated. It then returns False, and `document` shows what was written.

        Raises:
            VertexError: As `objects`.
        """
        ...

    def copy(self, source: str, target: str) -> None:
        """Copies one object, whole or not at all, in place of one that is there.

        Raises:
            VertexError: As `objects`; or there is no such object.
        """
        ...

    def region(self, bucket: str) -> str:
        """The bucket's location, as Cloud Storage writes it ("EUROPE-WEST4", "US"); empty when unknown.

        Raises:
            VertexError: There is no such bucket, or no answer came (transient).
        """
        ...

    def location(self, uri: str) -> str:
        """The location of `uri` for people: a folder's path, or the URI itself."""
        ...


def split_uri(uri: str) -> tuple[str, str]:
    """Splits `gs://BUCKET/PREFIX` into bucket and prefix; removes slashes at the prefix's ends.

    Raises:
        VertexError: It has another form.
    """
    bucket, _, prefix = uri.removeprefix("gs://").partition("/")
    if not uri.startswith("gs://") or not _BUCKET.fullmatch(bucket):
        raise VertexError("not a Cloud Storage location", where=uri, next_step="Write it as gs://BUCKET/FOLDER")
    return bucket, prefix.strip("/")


class FolderStore:
    """Buckets as folders below one root folder, as local_vertex keeps them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def _folder(self, uri: str) -> Path:
        bucket, prefix = split_uri(uri)
        folder = self.root / bucket / prefix
        if not folder.resolve().is_relative_to((self.root / bucket).resolve()):
            raise VertexError("leads out of its bucket", where=uri, next_step="Write it without `..`")
        return folder

    def objects(self, uri: str) -> list[StoredObject]:
        """See `ModelStore.objects`; files that are deleted meanwhile are left out."""
        folder = self._folder(uri)
        found = [_stored(path, folder) for path in folder.rglob("*")]
        return sorted((item for item in found if item), key=lambda item: item.path)

    def folders(self, uri: str) -> list[str]:
        """See `ModelStore.folders`."""
        folder = self._folder(uri)
        try:
            return sorted(path.name for path in folder.iterdir() if path.is_dir())
        except FileNotFoundError:
            return []

    def read(self, uri: str, sink: Sink, start: int = 0) -> None:
        """See `ModelStore.read`."""
        for piece in _pieces(self._folder(uri), start):
            sink.write(piece)

    def copy(self, source: str, target: str) -> None:
        """See `ModelStore.copy`."""
        place = self._folder(target)
        try:
            with atomic_file(place) as out, self._folder(source).open("rb") as file:
                shutil.copyfileobj(file, out)
        except OSError as error:
            raise VertexError(f"can't copy {source}: {error.strerror}", where=place) from error

    def region(self, bucket: str) -> str:  # noqa: ARG002 - the protocol's
        """See `ModelStore.region`; folders have no region."""
        return ""

    def document(self, uri: str) -> Document | None:
        """See `ModelStore.document`."""
        path = self._folder(uri)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise VertexError(f"can't read a file beside the model: {error.strerror}", where=path) from error
        return Document(data, 1 + int.from_bytes(hashlib.sha256(data).digest()[:8]))

    def write(self, uri: str, data: bytes, *, generation: int) -> bool:
        """See `ModelStore.write`; atomic, except that two writers at the same instant may both succeed."""
        found = self.document(uri)
        if (found.generation if found else 0) != generation:
            return False
        write_atomic(self._folder(uri), data)
        return True

    def location(self, uri: str) -> str:
        """The folder's path."""
        return str(self._folder(uri))


def _pieces(path: Path, start: int) -> Iterator[bytes]:
    """A file's bytes from `start` on."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            while piece := file.read(_PIECE):
                yield piece
    except OSError as error:
        raise VertexError(
            f"can't read a file of the model: {error.strerror}", where=path, next_step="Run the job again"
        ) from error


def _stored(path: Path, folder: Path) -> StoredObject | None:
    if not path.is_file():
        return None
    status = path.stat()
    # `cp -p` can set any modification time, but not the inode's change time.
    return StoredObject(path.relative_to(folder).as_posix(), status.st_size, max(status.st_mtime, status.st_ctime))


class CloudStore:
    """Google Cloud Storage; `STORAGE_EMULATOR_HOST` redirects Google's client to an emulator."""

    def __init__(
        self, project: str, credentials: Credentials | None, context: Callable[[str, str], CallContext]
    ) -> None:
        with one_importer():
            from google.cloud import storage

        with mapped(context("open Cloud Storage", f"projects/{project}")):
            self._client: Any = storage.Client(project=project, credentials=credentials)
        self._context = context

    def objects(self, uri: str) -> list[StoredObject]:
        """See `ModelStore.objects`."""
        bucket, prefix = split_uri(uri)
        start = f"{prefix}/" if prefix else ""
        with mapped(self._context("list the model's files", uri)):
            blobs = list(self._client.list_blobs(bucket, prefix=start))
        found = [
            StoredObject(b.name[len(start) :], int(b.size or 0), b.updated.timestamp() if b.updated else 0.0)
            for b in blobs
            if not b.name.endswith("/")
        ]
        return sorted(found, key=lambda item: item.path)

    def folders(self, uri: str) -> list[str]:
        """See `ModelStore.folders`."""
        bucket, prefix = split_uri(uri)
        start = f"{prefix}/" if prefix else ""
        with mapped(self._context("list the folders of runs", uri)):
            listed = self._client.list_blobs(bucket, prefix=start, delimiter="/")
            names = {name for page in listed.pages for name in page.prefixes}
        return sorted(name[len(start) :].rstrip("/") for name in names)

    def read(self, uri: str, sink: Sink, start: int = 0) -> None:
        """See `ModelStore.read`; the client verifies the bucket's checksum where it reads the whole object."""
        bucket, name = split_uri(uri)
        with mapped(self._context("read a file of the model", uri)):
            self._client.bucket(bucket).blob(name).download_to_file(sink, start=start or None)

    def copy(self, source: str, target: str) -> None:
        """See `ModelStore.copy`; Cloud Storage copies on its side, across locations in several calls."""
        (from_bucket, from_name), (to_bucket, to_name) = split_uri(source), split_uri(target)
        with mapped(self._context("copy a file", target)):
            blob = self._client.bucket(to_bucket).blob(to_name)
            original, token = self._client.bucket(from_bucket).blob(from_name), None
            while (token := blob.rewrite(original, token=token)[0]) is not None:
                pass

    def region(self, bucket: str) -> str:
        """See `ModelStore.region`; accounts that may write objects are often not allowed to read this."""
        from google.api_core.exceptions import Forbidden, Unauthorized

        with mapped(self._context("look up the bucket", f"gs://{bucket}")):
            try:
                return str(self._client.get_bucket(bucket, timeout=_LOOK_UP_SECONDS).location or "")
            except (Forbidden, Unauthorized):
                return ""

    def document(self, uri: str) -> Document | None:
        """See `ModelStore.document`."""
        bucket, name = split_uri(uri)
        with mapped(self._context("read a file beside the model", uri)):
            blob = self._client.bucket(bucket).get_blob(name)
            if blob is None:
                return None
            return Document(blob.download_as_bytes(if_generation_match=blob.generation), int(blob.generation))

    def write(self, uri: str, data: bytes, *, generation: int) -> bool:
        """See `ModelStore.write`; Cloud Storage compares the generation (`ifGenerationMatch`)."""
        from google.api_core.exceptions import PreconditionFailed

        bucket, name = split_uri(uri)
        with mapped(self._context("write a file beside the model", uri)):
            try:
                self._client.bucket(bucket).blob(name).upload_from_string(
                    data, content_type="application/json", if_generation_match=generation
                )
            except PreconditionFailed:
                return False
        return True

    def location(self, uri: str) -> str:
        """The URI itself."""
        return uri
