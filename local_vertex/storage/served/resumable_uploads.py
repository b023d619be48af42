"""Resumable uploads, which outlive the server: a session is a file with what was agreed, and a file with the bytes.

https://cloud.google.com/storage/docs/performing-resumable-uploads
"""

from __future__ import annotations

import json
import re
import secrets
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ....core.atomic_files import write_atomic
from ..http.http_messages import Request, StorageApiError
from ..objects.checksums import Checksums
from ..objects.object_store import NewFile, ObjectStore, Preconditions, StoredFile
from .received_bytes import check_hashes, receive, wanted_hashes

_ID = re.compile(r"[A-Za-z0-9_-]{20,80}")
_RANGE = re.compile(r"bytes (?:(?P<first>\d+)-(?P<last>\d+|\*)|\*)/(?P<total>\d+|\*)")
_CLEAN_EVERY = 500
_ANSWERED_SECONDS = 3600.0
"""How long the end of a finished upload can be repeated."""
_WEEK = 7 * 24 * 3600.0
_PIECE = 1 << 20


@dataclass(slots=True)
class Session:
    """One resumable upload.

    Attributes:
        id: Its id, a secret.
        bucket: The bucket.
        name: The object's name.
        fields: What the client set.
        conditions: The preconditions of the first request, checked again at the end.
        hashes: The checksums that the client sent.
        generation: Of the finished object; 0 before the end.
        sums: Checksums of the bytes that this process received.
        summed: The number of these bytes.
        lock: Held while bytes are received.
    """

    id: str
    bucket: str
    name: str
    fields: dict[str, Any]
    conditions: Preconditions
    hashes: dict[str, str]
    generation: int = 0
    sums: Checksums = field(default_factory=Checksums)
    summed: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class UploadSessions:
    """All resumable uploads.

    Args:
        objects: The objects that they become.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._open: dict[str, Session] = {}
        self._created = 0

    def create(
        self, bucket: str, name: str, fields: dict[str, Any], conditions: Preconditions, hashes: dict[str, str]
    ) -> str:
        """Starts a session; returns its id."""
        session = Session(secrets.token_urlsafe(30), bucket, name, fields, conditions, hashes)
        self._write(session)
        self._data(session).touch(mode=0o600)
        self._open[session.id] = session
        self._created += 1
        if self._created % _CLEAN_EVERY == 0:
            remove_finished(self._objects.uploads)
        return session.id

    def get(self, session_id: str) -> Session:
        """A session, also one of an earlier server.

        Raises:
            StorageApiError: There is none of this id, or no more (404).
        """
        found = self._open.get(session_id)
        if found is not None:
            return found
        try:
            if not _ID.fullmatch(session_id):
                raise ValueError(session_id)
            values = json.loads(self._record(session_id).read_text())
            conditions = Preconditions(**values.pop("conditions"))
            return self._open.setdefault(session_id, Session(session_id, conditions=conditions, **values))
        except (OSError, ValueError, TypeError) as error:
            raise StorageApiError(404, "Upload session not found", "notFound") from error

    def received(self, session: Session) -> int:
        """The bytes that are there."""
        try:
            return self._data(session).stat().st_size
        except FileNotFoundError:
            return 0

    def remove(self, session: Session) -> None:
        """Forgets a session and its bytes."""
        self._open.pop(session.id, None)
        self._record(session.id).unlink(missing_ok=True)
        self._data(session).unlink(missing_ok=True)

    def receive(self, session: Session, request: Request) -> StoredFile | None:
        """Takes the bytes of a request; returns the object when it is finished.

        Raises:
            StorageApiError: The bytes don't follow those that are there, or a checksum is wrong (400); a precondition
                does not hold any more (412).
        """
        with session.lock:
            if session.generation:
                return self._objects.get(session.bucket, session.name)
            session.hashes |= wanted_hashes({}, request.headers)
            total = self._take(session, request)
            return self._finish(session) if total == self.received(session) else None

    def _take(self, session: Session, request: Request) -> int | None:
        """Takes the bytes of a request; returns the object's size if that is known."""
        header = request.headers.get("content-range")
        if header is None:
            self._data(session).write_bytes(b"")
            session.sums, session.summed = Checksums(), 0
            self._append(session, request, 0)
            return self.received(session)
        span = _RANGE.fullmatch(header.strip())
        if span is None:
            raise StorageApiError(400, f"Failed to parse Content-Range header: {header}", "badRequest")
        total = None if span["total"] == "*" else int(span["total"])
        if span["first"] is None:
            # A chunked body, or one of known length, whose end is the object's end.
            if request.length is None or (request.length and total is None):
                self._append(session, request, 0)
                return self.received(session)
            return total
        self._append(session, request, int(span["first"]))
        if span["last"] == "*":
            return self.received(session) if total is None else total
        return total

    def _append(self, session: Session, request: Request, first: int) -> None:
        there = self.received(session)
        if first > there:
            text = f"Invalid request. The request begins at byte {first}, but only {there} bytes were received."
            raise StorageApiError(400, text, "badRequest")
        self._sum_up(session, there)
        with self._data(session).open("ab", buffering=0) as file:
            try:
                receive(request.body, file, session.sums, skip=there - first)
            except BaseException:
                session.summed = -1  # not known which bytes were summed
                raise
            session.summed = file.tell()

    def _sum_up(self, session: Session, there: int) -> None:
        """Makes the checksums those of the bytes that are there, as after a restart of the server."""
        if session.summed == there:
            return
        session.sums = Checksums()
        with self._data(session).open("rb") as file:
            while piece := file.read(_PIECE):
                session.sums.update(piece)
        session.summed = there

    def _finish(self, session: Session) -> StoredFile:
        self._sum_up(session, self.received(session))
        try:
            check_hashes(session.hashes, session.sums)
        except StorageApiError:
            self.remove(session)
            raise
        new = NewFile(self._data(session), session.fields, session.sums.crc32c, session.sums.md5)
        try:
            found = self._objects.put(session.bucket, session.name, new, session.conditions)
        except StorageApiError:
            self.remove(session)
            raise
        session.generation = found.generation
        self._write(session)
        self._open.pop(session.id, None)
        return found

    def _write(self, session: Session) -> None:
        values = {
            "bucket": session.bucket,
            "name": session.name,
            "fields": session.fields,
            "conditions": asdict(session.conditions),
            "hashes": session.hashes,
            "generation": session.generation,
        }
        write_atomic(self._record(session.id), json.dumps(values))

    def _record(self, session_id: str) -> Path:
        return self._objects.uploads / f"session-{session_id}.json"

    def _data(self, session: Session) -> Path:
        return self._objects.uploads / f"session-{session.id}.data"


def remove_leftovers(uploads: Path) -> None:
    """Removes what a killed server left: unfinished uploads at once, resumable ones after a week."""
    oldest = time.time() - _WEEK
    for path in uploads.iterdir():
        try:
            if not path.name.startswith("session-") or path.stat().st_mtime < oldest:
                path.unlink()
        except OSError:
            continue


def remove_finished(uploads: Path) -> None:
    """Removes the records of uploads that were finished a while ago."""
    oldest = time.time() - _ANSWERED_SECONDS
    for path in uploads.glob("session-*.json"):
        try:
            if path.stat().st_mtime < oldest and not path.with_suffix(".data").exists():
                path.unlink()
        except OSError:
            continue
