"""The objects of all buckets as files: found, read, replaced and deleted, with generations and preconditions.

Every plain file in a bucket's folder is an object, whoever wrote it. A write first goes to a file outside of the
bucket, with its attributes. Then the name is linked to it, or it is renamed over the earlier object: a reader sees the
old object or the new one, and a kill leaves nothing half there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from ..http.http_messages import StorageApiError
from .checksums import file_crc32c
from .object_attributes import AttributeStore
from .object_paths import entry_name, opened_folder, path_parts, remove_empty_folder

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe must not block the server
_LOCKS = 64
_OWN_FIELDS = frozenset(("generation", "metageneration", "crc32c", "md5", "created", "updated", "name"))


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One object.

    Attributes:
        bucket: The bucket's name.
        name: The object's name.
        size: Bytes.
        generation: Microseconds since 1970, of its writing; grows with each write.
        metageneration: 1, and one more with each change of the metadata.
        crc32c: In base64; empty when nobody has computed it yet.
        md5: In base64; empty for composed objects and for files that somebody else wrote.
        created: Microseconds since 1970.
        updated: The same, of the last change of content or metadata.
        fields: What the client set: `contentType`, `metadata` and their like, as the API names them.
    """

    bucket: str
    name: str
    size: int
    generation: int
    metageneration: int
    crc32c: str
    md5: str
    created: int
    updated: int
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Preconditions:
    """What must hold for a call; None where the client asked for nothing.

    https://cloud.google.com/storage/docs/request-preconditions
    """

    generation: int | None = None
    not_generation: int | None = None
    metageneration: int | None = None
    not_metageneration: int | None = None

    def check(self, found: StoredFile | None, *, reads: bool = False) -> None:
        """Raises `StorageApiError` unless all hold: 412, or 304 for a read of what the client has already."""
        generation = found.generation if found else 0
        metageneration = found.metageneration if found else 0
        unmet = [
            (self.generation is not None and self.generation != generation, "ifGenerationMatch", False),
            (self.not_generation is not None and self.not_generation == generation, "ifGenerationNotMatch", reads),
            (self.metageneration is not None and self.metageneration != metageneration, "ifMetagenerationMatch", False),
            (
                self.not_metageneration is not None and self.not_metageneration == metageneration,
                "ifMetagenerationNotMatch",
                reads,
            ),
        ]
        for wrong, name, unchanged in unmet:
            if wrong and unchanged:
                raise StorageApiError(304, "Not Modified")
            if wrong:
                text = "At least one of the pre-conditions you specified did not hold."
                raise StorageApiError(412, text, location=("header", name))


@dataclass(slots=True)
class NewFile:
    """Bytes that are about to become an object.

    Attributes:
        path: The file with the bytes, outside of all buckets.
        fields: What the client set.
        crc32c: In base64.
        md5: In base64; empty for a composed object.
    """

    path: Path
    fields: dict[str, Any] = field(default_factory=dict)
    crc32c: str = ""
    md5: str = ""


class ObjectStore:
    """The objects of all buckets.

    Args:
        buckets: The folder with one folder for each bucket.
        work: A folder on the same disk, for uploads, attributes and objects whose names can't be paths.
    """

    def __init__(self, buckets: Path, work: Path) -> None:
        self.buckets = buckets
        self.uploads = work / "uploads"
        self.entries = work / "entries"
        self._attributes = AttributeStore(work / "attributes")
        self._locks = [threading.Lock() for _ in range(_LOCKS)]
        self._clock = threading.Lock()
        self._last = 0
        for folder in (self.uploads, self.entries, work / "attributes"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    # Reading

    def find(self, bucket: str, name: str) -> StoredFile | None:
        """An object; None when there is none."""
        file = self._open(bucket, name)
        if file is None:
            return None
        with file:
            return self._described(bucket, name, file.fileno())

    def get(self, bucket: str, name: str) -> StoredFile:
        """An object.

        Raises:
            StorageApiError: There is none (404).
        """
        found = self.find(bucket, name)
        if found is None:
            raise missing_object(bucket, name)
        return found

    def open(self, bucket: str, name: str) -> tuple[BinaryIO, StoredFile]:
        """An object's bytes, which a later write doesn't change, and its description.

        Raises:
            StorageApiError: There is none (404).
        """
        file = self._open(bucket, name)
        if file is None:
            raise missing_object(bucket, name)
        return file, self._described(bucket, name, file.fileno())

    def with_checksum(self, found: StoredFile) -> StoredFile:
        """The object with its CRC32C, which is computed and kept if somebody else wrote the file."""
        if found.crc32c:
            return found
        file = self._open(found.bucket, found.name)
        if file is None:
            return found
        with file:
            crc32c = file_crc32c(file)
            now = self._described(found.bucket, found.name, file.fileno())
            if now.generation == found.generation:
                self._keep(file.fileno(), {**_values(now), "crc32c": crc32c})
        return _replaced(found, crc32c=crc32c)

    def described(self, bucket: str, name: str, folder: int, file_name: str) -> StoredFile | None:
        """A file that a listing has found; None if it is gone, or no plain file."""
        try:
            handle = os.open(file_name, _FILE, dir_fd=folder)
        except OSError:
            return None
        try:
            return self._described(bucket, name, handle) if _is_plain(handle) else None
        finally:
            os.close(handle)

    def entry_names(self, bucket: str) -> list[str]:
        """The names of those objects of a bucket that are no paths, sorted."""
        names: list[str] = []
        with contextlib.suppress(FileNotFoundError), os.scandir(self.entries / bucket) as entries:
            for entry in entries:
                name = self._entry_object(entry.path)
                if name is not None and self._is_current(bucket, name):
                    names.append(name)
        return sorted(names)

    def _entry_object(self, path: str) -> str | None:
        try:
            handle = os.open(path, _FILE)
        except OSError:
            return None
        try:
            return self._attributes.read(handle, os.fstat(handle)).get("name")
        finally:
            os.close(handle)

    def _is_current(self, bucket: str, name: str) -> bool:
        """Whether no plain file has taken the place of an entry, and a folder's marker still has its folder."""
        if name.endswith("/"):
            parts = path_parts(name.rstrip("/"))
            return parts is None or name.endswith("//") or (self.buckets / bucket).joinpath(*parts).is_dir()
        return self._open_plain(bucket, name) is None

    def _open(self, bucket: str, name: str) -> BinaryIO | None:
        found = self._open_plain(bucket, name)
        if found is not None:
            return found
        try:
            handle = os.open(self.entries / bucket / entry_name(name), _FILE)
        except OSError:
            return None
        return os.fdopen(handle, "rb", buffering=0)

    def _open_plain(self, bucket: str, name: str) -> BinaryIO | None:
        parts = path_parts(name)
        if parts is None:
            return None
        try:
            with opened_folder(str(self.buckets / bucket), parts[:-1]) as folder:
                handle = os.open(parts[-1], _FILE, dir_fd=folder)
        except OSError:
            return None
        if not _is_plain(handle):
            os.close(handle)
            return None
        return os.fdopen(handle, "rb", buffering=0)

    def _described(self, bucket: str, name: str, handle: int) -> StoredFile:
        status = os.fstat(handle)
        values = self._attributes.read(handle, status)
        changed = status.st_mtime_ns // 1000
        generation = int(values.get("generation") or changed)
        return StoredFile(
            bucket=bucket,
            name=name,
            size=status.st_size,
            generation=generation,
            metageneration=int(values.get("metageneration") or 1),
            crc32c=values.get("crc32c") or "",
            md5=values.get("md5") or "",
            created=int(values.get("created") or changed),
            updated=int(values.get("updated") or changed),
            fields={key: value for key, value in values.items() if key not in _OWN_FIELDS},
        )

    # Writing

    def new_path(self) -> Path:
        """A path for the bytes of a new object."""
        return self.uploads / f"put-{secrets.token_hex(12)}"

    def put(self, bucket: str, name: str, new: NewFile, conditions: Preconditions) -> StoredFile:
        """Makes a file an object, in place of the earlier one; the file is gone afterwards in any case.

        Raises:
            StorageApiError: A precondition does not hold (412).
            OSError: The disk is full.
        """
        try:
            with self._locked(bucket, name):
                generation = self._next_generation(self._checked(bucket, name, conditions))
                values = {
                    **new.fields,
                    "generation": generation,
                    "metageneration": 1,
                    "created": generation,
                    "updated": generation,
                    "crc32c": new.crc32c,
                    "md5": new.md5,
                }
                size = self._finish(new.path, name, values, generation)
                self._place(bucket, name, new.path, must_be_new=conditions.generation == 0)
        finally:
            new.path.unlink(missing_ok=True)
        return StoredFile(
            bucket, name, size, generation, 1, new.crc32c, new.md5, generation, generation, dict(new.fields)
        )

    def _checked(self, bucket: str, name: str, conditions: Preconditions) -> int:
        """Checks preconditions; returns the generation of the earlier object, or 0 where that is not looked up.

        Without any nothing is looked up, and that there must be no object is checked when the name is linked: many
        small objects are written so.
        """
        if conditions == Preconditions():
            return 0
        if conditions == Preconditions(generation=0) and not self._has_entries(bucket):
            return 0
        earlier = self.find(bucket, name)
        conditions.check(earlier)
        return earlier.generation if earlier else 0

    def _has_entries(self, bucket: str) -> bool:
        return os.path.exists(f"{self.entries}/{bucket}")  # noqa: PTH110 - for each of many small objects

    def _has_entry(self, bucket: str, name: str) -> bool:
        return self._has_entries(bucket) and (self.entries / bucket / entry_name(name)).exists()

    def update(
        self, bucket: str, name: str, fields: Mapping[str, Any], conditions: Preconditions, *, replace: bool
    ) -> StoredFile:
        """Changes an object's metadata; a value of None removes a field.

        Raises:
            StorageApiError: There is no such object (404), or a precondition does not hold (412).
        """
        with self._locked(bucket, name):
            found = self.get(bucket, name)
            conditions.check(found)
            merged = _merged({} if replace else found.fields, fields)
            values = {key: value for key, value in _values(found).items() if key in _OWN_FIELDS} | merged
            values |= {"metageneration": found.metageneration + 1, "updated": max(_now(), found.updated)}
            file = self._open(bucket, name)
            if file is None:
                raise missing_object(bucket, name)
            with file:
                self._keep(file.fileno(), values)
        return self.get(bucket, name)

    def delete(self, bucket: str, name: str, conditions: Preconditions) -> None:
        """Deletes an object.

        Raises:
            StorageApiError: There is none (404), or a precondition does not hold (412).
        """
        with self._locked(bucket, name):
            conditions.check(self.get(bucket, name))
            parts = path_parts(name)
            if parts is not None:
                with contextlib.suppress(OSError), opened_folder(str(self.buckets / bucket), parts[:-1]) as folder:
                    os.unlink(parts[-1], dir_fd=folder)
            (self.entries / bucket / entry_name(name)).unlink(missing_ok=True)
            if name.endswith("/") and (marked := path_parts(name[:-1])) is not None:
                with contextlib.suppress(OSError), opened_folder(str(self.buckets / bucket), marked[:-1]) as folder:
                    os.rmdir(marked[-1], dir_fd=folder)

    @contextmanager
    def _locked(self, bucket: str, name: str) -> Iterator[None]:
        with self._locks[hash((bucket, name)) % _LOCKS]:
            yield

    def _next_generation(self, earlier: int) -> int:
        with self._clock:
            self._last = max(_now(), self._last + 1, earlier + 1)
            return self._last

    def _finish(self, path: Path, name: str, values: dict[str, Any], generation: int) -> int:
        """Makes a file ready to become an object; returns its bytes."""
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            # A modification time that no clock tick has: a write by somebody else is seen even within the same tick.
            os.utime(handle, ns=(generation * 1000 + 1, generation * 1000 + 1))
            os.fchmod(handle, 0o666)  # a job may run as another user
            self._keep(handle, {**values, "name": name})
            return os.fstat(handle).st_size
        finally:
            os.close(handle)

    def _keep(self, handle: int, values: Mapping[str, Any]) -> None:
        self._attributes.write(handle, {key: value for key, value in values.items() if value not in ("", None)})

    def _place(self, bucket: str, name: str, path: Path, *, must_be_new: bool) -> None:
        parts = path_parts(name)
        if (
            parts is not None
            and not self._has_entry(bucket, name)
            and self._place_plain(bucket, parts, path, must_be_new=must_be_new)
        ):
            return
        entry = self.entries / bucket / entry_name(name)
        if name.endswith("/") and (marked := path_parts(name[:-1])) is not None:
            with contextlib.suppress(OSError), opened_folder(str(self.buckets / bucket), marked, create=True):
                pass
        entry.parent.mkdir(mode=0o700, exist_ok=True)
        path.replace(entry)

    def _place_plain(self, bucket: str, parts: list[str], path: Path, *, must_be_new: bool) -> bool:
        """Gives a file its place in the bucket's folder; False if it can have none, as `p/q` beside `p`."""
        place = _link_new if must_be_new else _rename
        try:
            with opened_folder(f"{self.buckets}/{bucket}", parts[:-1], create=True) as folder:
                if _is_folder(parts[-1], folder) and not remove_empty_folder(folder, parts[-1]):
                    return False
                place(path, parts[-1], folder)
        except (NotADirectoryError, IsADirectoryError):
            return False
        except FileExistsError as error:  # somebody else has just written it
            text = "At least one of the pre-conditions you specified did not hold."
            raise StorageApiError(412, text, location=("header", "ifGenerationMatch")) from error
        return True


def missing_object(bucket: str, name: str) -> StorageApiError:
    """The error for an object that isn't there."""
    return StorageApiError(404, f"No such object: {bucket}/{name}")


def _rename(path: Path, name: str, folder: int) -> None:
    os.rename(path, name, dst_dir_fd=folder)


def _link_new(path: Path, name: str, folder: int) -> None:
    """Gives a file a name that nothing has; atomic against any process, where the file system has links."""
    try:
        os.link(path, name, dst_dir_fd=folder)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK}:
            raise
        with contextlib.suppress(FileNotFoundError):
            os.stat(name, dir_fd=folder, follow_symlinks=False)
            raise FileExistsError(errno.EEXIST, "exists", name) from error
        os.rename(path, name, dst_dir_fd=folder)


def _is_folder(name: str, folder: int) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _is_plain(handle: int) -> bool:
    return stat.S_ISREG(os.fstat(handle).st_mode)


def _now() -> int:
    return time.time_ns() // 1000


def _values(found: StoredFile) -> dict[str, Any]:
    return {
        **found.fields,
        "name": found.name,
        "generation": found.generation,
        "metageneration": found.metageneration,
        "crc32c": found.crc32c,
        "md5": found.md5,
        "created": found.created,
        "updated": found.updated,
    }


def _replaced(found: StoredFile, **changes: Any) -> StoredFile:  # noqa: ANN401 - those of the dataclass
    from dataclasses import replace

    return replace(found, **changes)


def _merged(old: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The fields with a patch applied; `metadata` is merged by key, and None removes."""
    merged = dict(old)
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = {k: v for k, v in {**merged[key], **value}.items() if v is not None}
        else:
            merged[key] = value
    return merged
