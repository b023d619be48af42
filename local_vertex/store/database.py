"""The SQLite file of the store: its tables, one connection for all threads, and transactions."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ...core.errors import LocalServiceError, StorageError
from ...core.integrity.sealed_json import DAMAGED, set_aside

_VERSION = 1
_BUSY_SECONDS = 10.0
"""How long a change of another process is waited for."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, display_name TEXT NOT NULL,
    labels TEXT NOT NULL, spec TEXT NOT NULL, message BLOB NOT NULL, state TEXT NOT NULL,
    create_time REAL NOT NULL, start_time REAL, end_time REAL, update_time REAL NOT NULL,
    error_code INTEGER, error_message TEXT, attempt INTEGER NOT NULL, cancel_requested INTEGER NOT NULL,
    detail TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, seq);
CREATE TABLE IF NOT EXISTS labels (
    key TEXT NOT NULL, value TEXT NOT NULL, job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
    PRIMARY KEY (key, value, job)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS labels_by_job ON labels (job);
CREATE TABLE IF NOT EXISTS logs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, job_id TEXT NOT NULL, timestamp REAL NOT NULL,
    severity TEXT NOT NULL, task TEXT NOT NULL, payload TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS logs_by_job ON logs (job_id, timestamp, seq);
CREATE INDEX IF NOT EXISTS logs_by_time ON logs (timestamp, seq);
CREATE TABLE IF NOT EXISTS cursors (
    job_id TEXT NOT NULL, stream TEXT NOT NULL, position INTEGER NOT NULL,
    PRIMARY KEY (job_id, stream)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS operations (name TEXT PRIMARY KEY, create_time REAL NOT NULL) WITHOUT ROWID;
"""
# Added to stores of earlier versions, which ignore them: so both versions can use the same file.
_ADDED_TABLES = (
    """CREATE TABLE IF NOT EXISTS resources (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, project TEXT NOT NULL, region TEXT NOT NULL,
    id TEXT NOT NULL, display_name TEXT NOT NULL, labels TEXT NOT NULL, state TEXT NOT NULL,
    create_time REAL NOT NULL, start_time REAL, end_time REAL, update_time REAL NOT NULL,
    error_code INTEGER, error_message TEXT, job TEXT NOT NULL, message BLOB NOT NULL,
    UNIQUE (kind, project, region, id))""",
    "CREATE INDEX IF NOT EXISTS resources_by_job ON resources (job)",
    "CREATE TABLE IF NOT EXISTS operation_results (name TEXT PRIMARY KEY, message BLOB NOT NULL) WITHOUT ROWID",
    """CREATE TRIGGER IF NOT EXISTS keep_end AFTER DELETE ON jobs BEGIN
    UPDATE resources SET state = old.state, start_time = old.start_time, end_time = old.end_time,
        update_time = old.update_time, error_code = old.error_code, error_message = old.error_message
        WHERE job = old.id;
END""",
)
_ADDED_COLUMNS = {
    "jobs": dict.fromkeys(("project", "project_number", "region"), "TEXT NOT NULL DEFAULT ''"),
    "logs": {"extra": "TEXT"},
}


def matches(pattern: str, text: object) -> bool:
    """Whether a regular expression of RE2, which needs no backtracking, occurs in a text; SQL: `matches(p, t)`."""
    return text is not None and _compiled(pattern).search(str(text)) is not None


def mentions(text: object, part: str) -> bool:
    """Whether a text, or a JSON document in its stored form, contains another text, in any case of its letters."""
    if text is None:
        return False
    shown = str(text)
    if "\\u" in shown or '\\"' in shown:  # stored as JSON, with escapes
        with suppress(ValueError):
            shown = json.dumps(json.loads(shown), ensure_ascii=False).replace('\\"', '"')
    return part.casefold() in shown.casefold()


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> Any:  # noqa: ANN401 - re2 has no types
    import re2

    return re2.compile(pattern)


class DamagedStore(sqlite3.DatabaseError):
    """The store's file is damaged in a way that SQLite doesn't notice."""


def was_replaced(path: Path) -> bool:
    """Whether a damaged store was moved aside here, so that jobs are missing in the present one."""
    return path.with_name(f"{path.name}{DAMAGED}").exists()


def _is_damage(error: BaseException | None) -> bool:
    if isinstance(error, (DamagedStore, ValueError)):
        return True
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "decode to UTF-8" in str(error)


def _is_busy(error: BaseException | None) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class Database:
    """The SQLite file, in WAL mode.

    Commits are not flushed to the disk (`synchronous=NORMAL`): a power failure may lose the last seconds, not the file.

    Args:
        path: The file; created if missing.
        read_only: To read a file that another process writes.

    Raises:
        StorageError: From every method: the disk is full or read-only, or the file is not a database.
        LocalServiceError: The file has another version.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._lock = threading.RLock()
        try:
            self._open(read_only=read_only)
        except StorageError as error:
            if read_only or not _is_damage(error.__cause__):
                raise
            self._replace()

    def _open(self, *, read_only: bool) -> None:
        """Opens the file, again while another process makes it: SQLite's own wait leaves out the change to WAL mode."""
        deadline = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                return self._connect(read_only=read_only)
            except StorageError as error:
                if not _is_busy(error.__cause__) or time.monotonic() > deadline:
                    raise
                self.connection.close()
                time.sleep(0.01)

    def _connect(self, *, read_only: bool) -> None:
        with self._errors():
            mode = "rw" if read_only else "rwc"
            self.connection = sqlite3.connect(
                f"file:{quote(str(self.path))}?mode={mode}",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                timeout=_BUSY_SECONDS,
            )
            self.connection.row_factory = sqlite3.Row
            self.connection.create_function("matches", 2, matches, deterministic=True)
            self.connection.create_function("mentions", 2, mentions, deterministic=True)
            # Opened for writing even to read: the write-ahead log of a killed service has to be recovered.
            if not read_only:
                self.connection.execute("PRAGMA journal_mode=WAL")
                self.connection.execute("PRAGMA synchronous=NORMAL")
                self.connection.execute("PRAGMA foreign_keys=ON")
            self._prepare()
            if read_only:
                self.connection.execute("PRAGMA query_only=ON")
            else:
                self._check()

    def _check(self) -> None:
        """Raises sqlite3.DatabaseError if pages of the file are damaged, or jobs in it can't be read."""
        found = self.connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise DamagedStore(f"database disk image is malformed: {found}")
        for row in self.connection.execute("SELECT labels, spec, detail FROM jobs"):
            for text in row:
                if not isinstance(json.loads(text), dict):
                    raise DamagedStore("a job's record is no JSON object")

    def _replace(self) -> None:
        """Moves a damaged store aside and begins an empty one; the folders of its jobs stay as they are."""
        self.connection.close()
        for suffix in ("", "-wal", "-shm"):
            path = self.path.with_name(f"{self.path.name}{suffix}")
            if path.exists():
                set_aside(path)
        self._open(read_only=False)

    def _prepare(self) -> None:
        """Makes the tables, or adds what a store of an earlier version lacks.

        A service that starts and a command that reads may come to it at the same moment.
        """
        found = self._version()
        if found not in {0, _VERSION}:
            raise LocalServiceError(
                f"the store has version {found}, this program reads version {_VERSION}",
                where=self.path,
                next_step="Move the file away, or use the version of the program that created it",
            )
        if self._missing():
            with self.write():
                for statement in self._missing():
                    self.connection.execute(statement)

    def _version(self) -> int:
        return self.connection.execute("PRAGMA user_version").fetchone()[0]

    def _missing(self) -> list[str]:
        """The statements that make what the store lacks."""
        statements = [*_SCHEMA.split(";"), f"PRAGMA user_version={_VERSION}"] if self._version() == 0 else []
        for table, columns in _ADDED_COLUMNS.items():
            known = {row["name"] for row in self.connection.execute(f"PRAGMA table_info({table})")}
            statements += [f"ALTER TABLE {table} ADD COLUMN {name} {columns[name]}" for name in columns.keys() - known]
        has_tables = self.connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'operation_results'").fetchone()
        return statements if has_tables else [*statements, *_ADDED_TABLES]

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self.connection.close()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """The connection, for one thread at a time."""
        with self._lock, self._errors():
            yield self.connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """The connection, in a transaction that is committed at the end of the block and rolled back on errors.

        A block within another one is part of its transaction.
        """
        with self._lock, self._errors():
            if self.connection.in_transaction:
                yield self.connection
                return
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                # A full disk makes SQLite roll back by itself.
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # a mistake of the caller, not a problem of the disk
        except (sqlite3.DatabaseError, ValueError) as error:  # ValueError: JSON in it that can't be read
            step = "Free space there or make it writable, and run again"
            if _is_damage(error):
                step = "Run: vertex-training local stop. The next run moves the damaged store aside"
            raise StorageError(
                f"the store of local jobs can't be used: {error}", where=self.path, next_step=step
            ) from error
