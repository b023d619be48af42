"""What local_vertex remembers: jobs, their states and their lines, in one SQLite file (WAL).

Every method is one transaction, so a `kill -9` at any moment leaves each of them done or not done. Commits are not
forced to the platter (`synchronous=NORMAL`): a power cut may lose the last moments, never the file.
"""

# ruff: noqa: S608 - only names of columns and question marks are put together; every value is a parameter

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import LocalServiceError, StorageError

TERMINAL = (
    "JOB_STATE_SUCCEEDED",
    "JOB_STATE_FAILED",
    "JOB_STATE_CANCELLED",
    "JOB_STATE_EXPIRED",
    "JOB_STATE_PARTIALLY_SUCCEEDED",
)
"""States that never change again."""

_VERSION = 1
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


@dataclass(slots=True)
class JobRecord:
    """One custom job.

    Attributes:
        id: Digits, as in the last part of its name.
        display_name: What people see.
        labels: As the client sent them.
        spec: CustomJobSpec in proto JSON form: snake_case field names, enums as names, durations as "3600s".
        state: `JOB_STATE_...`.
        create_time: Seconds since 1970, like every time here.
        start_time: When it was RUNNING for the first time.
        end_time: When it reached a terminal state.
        update_time: When anything here last changed.
        error_code: A google.rpc.Code, for a job that failed or was cancelled.
        error_message: The service's own words.
        attempt: Which try is running, from 1; 0 before the first.
        cancel_requested: A client asked to cancel it.
        detail: Durable notes of whoever runs the job.
        message: The client's CustomJob as serialized protobuf; opaque here.
    """

    id: str
    display_name: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=dict)
    state: str = "JOB_STATE_PENDING"
    create_time: float | None = None
    start_time: float | None = None
    end_time: float | None = None
    update_time: float | None = None
    error_code: int | None = None
    error_message: str | None = None
    attempt: int = 0
    cancel_requested: bool = False
    detail: dict[str, Any] = field(default_factory=dict)
    message: bytes = b""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of a job.

    Attributes:
        timestamp: Seconds since 1970.
        severity: As Cloud Logging names it.
        task: "workerpool0-0", or "service" for the platform's own lines.
        payload: Text, or the object of a line that was JSON.
    """

    timestamp: float
    severity: str
    task: str
    payload: str | dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """A line with its place in the store: `seq` only grows, in the order of arrival."""

    seq: int
    job_id: str
    entry: LogEntry


_COLUMNS = (
    "id, display_name, labels, spec, state, create_time, start_time, end_time, update_time,"
    " error_code, error_message, attempt, cancel_requested, detail, message"
)
_JSON_COLUMNS = ("labels", "spec", "detail")


class Store:
    """The SQLite file; safe to use from many threads.

    Args:
        path: The file; made when missing.
        clock: Seconds since 1970.
        read_only: For a look at a store that another process serves.

    Raises:
        StorageError: By every method: the disk is full, read-only or the file is no store.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time, read_only: bool = False) -> None:
        self.path = path
        self._clock = clock
        self._lock = threading.RLock()
        self._appended = threading.Condition()
        self._last_log = 0
        with self._errors():
            mode = "rw" if read_only else "rwc"
            self._db = sqlite3.connect(
                f"file:{_quoted(path)}?mode={mode}",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                timeout=10,
            )
            self._db.row_factory = sqlite3.Row
            # Opened for writing even to read: a WAL that a killed service left has to be recovered.
            if read_only:
                self._db.execute("PRAGMA query_only=ON")
            else:
                self._prepare()

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("PRAGMA foreign_keys=ON")
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found == 0:
            self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={_VERSION}; COMMIT")
        elif found != _VERSION:
            raise LocalServiceError(
                f"the store has version {found}, this program reads version {_VERSION}",
                where=self.path,
                next_step="Move the file away, or use the program that made it",
            )

    def close(self) -> None:
        """Ends the use of the file; everything that was written stays."""
        with self._lock:
            self._db.close()

    # Jobs

    def create(self, record: JobRecord) -> None:
        """Adds a job; afterwards it survives this process.

        Args:
            record: With an id that no job has or had; missing times are set to now.
        """
        now = self._clock()
        values = {name: getattr(record, name) for name in _COLUMNS.replace(" ", "").split(",")}
        values["create_time"] = values["create_time"] or now
        values["update_time"] = values["update_time"] or values["create_time"]
        for name in _JSON_COLUMNS:
            values[name] = json.dumps(values[name])
        names = ", ".join(f":{name}" for name in values)
        with self._write() as db:
            seq = db.execute(f"INSERT INTO jobs ({_COLUMNS}) VALUES ({names})", values).lastrowid
            db.executemany("INSERT INTO labels VALUES (?, ?, ?)", [(k, v, seq) for k, v in record.labels.items()])

    def get(self, id: str) -> JobRecord | None:  # noqa: A002
        """The job, or None."""
        found = self._select("id = ?", (id,))
        return found[0][1] if found else None

    def live(self) -> list[JobRecord]:
        """Every job that has not ended, oldest first."""
        marks = ",".join("?" * len(TERMINAL))
        return [record for _, record in self._select(f"state NOT IN ({marks}) ORDER BY seq", TERMINAL)]

    def find(
        self,
        where: str = "1",
        parameters: Sequence[object] = (),
        *,
        before: int | None = None,
        limit: int = 100,
    ) -> list[tuple[int, JobRecord]]:
        """Jobs that match, newest first, each with its place.

        Args:
            where: A condition over the columns of `jobs`, as `filters.compile_jobs` makes it.
            parameters: The values of its question marks.
            before: Only jobs at a lower place: where the page before this one ended.
            limit: At most this many.
        """
        place = 2**62 if before is None else before
        return self._select(f"({where}) AND seq < ? ORDER BY seq DESC LIMIT ?", (*parameters, place, limit))

    def count_by_state(self) -> dict[str, int]:
        """How many jobs are in each state."""
        with self._read() as db:
            return dict(db.execute("SELECT state, count(*) FROM jobs GROUP BY state ORDER BY state").fetchall())

    def transition(
        self,
        id: str,  # noqa: A002
        state: str,
        *,
        expected: Collection[str] | None = None,
        start_time: float | None = None,
        end_time: float | None = None,
        error_code: int | None = None,
        error_message: str | None = None,
        attempt: int | None = None,
    ) -> bool:
        """Moves a job to a state, atomically; a terminal state never changes.

        Args:
            id: Which job.
            state: The new state; may be the present one, to set the rest.
            expected: Move only from one of these.
            start_time: Set once: a second value is ignored.
            end_time: Of a terminal state; now when missing.
            error_code: A google.rpc.Code.
            error_message: In the service's words.
            attempt: Which try is running.

        Returns:
            False when nothing changed: no such job, an ended one, or in none of the expected states.
        """
        now = self._clock()
        if state in TERMINAL and end_time is None:
            end_time = now
        condition, allowed = "state NOT IN", TERMINAL
        if expected is not None:
            condition, allowed = "state IN", tuple(name for name in expected if name not in TERMINAL)
        sql = (
            "UPDATE jobs SET state = ?, update_time = ?, start_time = coalesce(start_time, ?),"
            " end_time = coalesce(?, end_time), error_code = coalesce(?, error_code),"
            " error_message = coalesce(?, error_message), attempt = coalesce(?, attempt)"
            f" WHERE id = ? AND {condition} ({','.join('?' * len(allowed))})"
        )
        with self._write() as db:
            values = (state, now, start_time, end_time, error_code, error_message, attempt, id, *allowed)
            return db.execute(sql, values).rowcount == 1

    def request_cancel(self, id: str) -> bool:  # noqa: A002
        """Marks a live job as to be cancelled and moves it to CANCELLING; False when it has ended or is unknown."""
        marks = ",".join("?" * len(TERMINAL))
        sql = (
            "UPDATE jobs SET cancel_requested = 1, state = 'JOB_STATE_CANCELLING', update_time = ?"
            f" WHERE id = ? AND state NOT IN ({marks})"
        )
        with self._write() as db:
            return db.execute(sql, (self._clock(), id, *TERMINAL)).rowcount == 1

    def note(self, id: str, **detail: object) -> None:  # noqa: A002
        """Merges `detail` into the job's notes; a value of None removes its key."""
        with self._write() as db:
            row = db.execute("SELECT detail FROM jobs WHERE id = ?", (id,)).fetchone()
            if row is not None:
                merged = {**json.loads(row[0]), **detail}
                kept = {key: value for key, value in merged.items() if value is not None}
                db.execute("UPDATE jobs SET detail = ? WHERE id = ?", (json.dumps(kept), id))

    def delete(self, id: str, *, operation: str | None = None) -> bool:  # noqa: A002
        """Removes a job, its labels, lines and cursors.

        Args:
            id: Which job.
            operation: Remembers this long-running operation in the same transaction.

        Returns:
            False when there was no such job.
        """
        with self._write() as db:
            found = db.execute("DELETE FROM jobs WHERE id = ?", (id,)).rowcount == 1
            db.execute("DELETE FROM logs WHERE job_id = ?", (id,))
            db.execute("DELETE FROM cursors WHERE job_id = ?", (id,))
            if found and operation:
                db.execute("INSERT INTO operations VALUES (?, ?)", (operation, self._clock()))
            return found

    def operation(self, name: str) -> float | None:
        """When the operation of that name was made, or None."""
        with self._read() as db:
            row = db.execute("SELECT create_time FROM operations WHERE name = ?", (name,)).fetchone()
            return None if row is None else row[0]

    # Lines

    def append_logs(
        self,
        id: str,  # noqa: A002
        entries: Sequence[LogEntry],
        cursor: tuple[str, int] | None = None,
    ) -> None:
        """Adds lines and remembers how far their source was read, in one transaction: no line is lost or repeated.

        Args:
            id: The job.
            entries: In the order in which they were written.
            cursor: The source's name and the new position in it, bytes.
        """
        rows = [(id, round(e.timestamp, 6), e.severity, e.task, _payload(e.payload)) for e in entries]
        with self._write() as db:
            if db.execute("SELECT 1 FROM jobs WHERE id = ?", (id,)).fetchone() is None:
                return
            db.executemany("INSERT INTO logs (job_id, timestamp, severity, task, payload) VALUES (?, ?, ?, ?, ?)", rows)
            if cursor is not None:
                db.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)", (id, *cursor))
        with self._appended:
            self._appended.notify_all()

    def cursor(self, id: str, stream: str) -> int:  # noqa: A002
        """How far the source was read, bytes; 0 for one that never was."""
        with self._read() as db:
            row = db.execute("SELECT position FROM cursors WHERE job_id = ? AND stream = ?", (id, stream)).fetchone()
            return 0 if row is None else row[0]

    def find_logs(
        self, where: str = "1", parameters: Sequence[object] = (), *, order: str = "seq", limit: int = 1000
    ) -> list[StoredEntry]:
        """Lines that match.

        Args:
            where: A condition over the columns of `logs`, as `filters.compile_logs` makes it.
            parameters: The values of its question marks.
            order: Columns to order by.
            limit: At most this many.
        """
        # In the order of arrival the table itself is the index: a range of places needs no look at all of a job.
        source = "logs NOT INDEXED" if order == "seq" else "logs"
        columns = "seq, job_id, timestamp, severity, task, payload"
        sql = f"SELECT {columns} FROM {source} WHERE {where} ORDER BY {order} LIMIT ?"
        with self._read() as db:
            rows = db.execute(sql, (*parameters, limit)).fetchall()
        return [StoredEntry(row[0], row[1], LogEntry(row[2], row[3], row[4], json.loads(row[5]))) for row in rows]

    def last_log(self) -> int:
        """The place of the newest line, 0 without any."""
        with self._read() as db:
            return db.execute("SELECT coalesce(max(seq), 0) FROM logs").fetchone()[0]

    def wait_for_logs(self, after: int, timeout: float) -> bool:
        """Waits until a line beyond the place `after` is there; False when `timeout` seconds passed without one."""
        with self._appended:
            return self._appended.wait_for(lambda: self.last_log() > after, timeout)

    # Plumbing

    def _select(self, where: str, parameters: Sequence[object]) -> list[tuple[int, JobRecord]]:
        with self._read() as db:
            rows = db.execute(f"SELECT seq, {_COLUMNS} FROM jobs WHERE {where}", parameters).fetchall()
        return [(row["seq"], _record(row)) for row in rows]

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._errors():
            yield self._db

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                # A full disk makes SQLite roll back by itself.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # the caller's mistake, not the disk's
        except sqlite3.DatabaseError as error:
            raise StorageError(
                f"the store of local jobs can't be used: {error}",
                where=self.path,
                next_step="Free space there or make it writable, and run again",
            ) from error


def _record(row: sqlite3.Row) -> JobRecord:
    values = {name: row[name] for name in row.keys() if name != "seq"}  # noqa: SIM118 - a Row iterates its values
    for name in _JSON_COLUMNS:
        values[name] = json.loads(values[name])
    values["cancel_requested"] = bool(values["cancel_requested"])
    return JobRecord(**values)


def _payload(payload: str | dict[str, Any]) -> str:
    try:
        return json.dumps(payload, allow_nan=False)
    except ValueError:
        # {"loss": NaN} is no JSON, whatever Python says: SQLite and every client would refuse it. It stays readable.
        return json.dumps(json.dumps(payload))


def _quoted(path: Path) -> str:
    from urllib.parse import quote

    return quote(str(path))
