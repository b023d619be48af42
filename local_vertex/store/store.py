"""The store of jobs, their states and their log entries.

Every method is one transaction: after a `kill -9` at any moment, each call was either done or not done.
"""

# ruff: noqa: S608 - only names of columns and question marks are put together; every value is a parameter

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .database import Database
from .other_resources import Resources
from .records import TERMINAL, JobRecord, LogEntry, StoredEntry

_COLUMNS = (
    "id, display_name, labels, spec, state, create_time, start_time, end_time, update_time,"
    " error_code, error_message, attempt, cancel_requested, detail, message, project, project_number, region"
)
_JSON_COLUMNS = ("labels", "spec", "detail")


class Store:
    """The store of one home, in an SQLite file. Threads may share it.

    Args:
        path: The file; created if missing.
        clock: Seconds since 1970.
        read_only: To read the store of a service in another process.

    Raises:
        StorageError: From every method: the disk is full or read-only, or the file is not a store.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time, read_only: bool = False) -> None:
        self.path = path
        self._database = Database(path, read_only=read_only)
        self._clock = clock
        self._appended = threading.Condition()
        self.resources = Resources(self._database)

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Makes the calls within the block one transaction, which takes less time; other threads wait for its end."""
        with self._database.write():
            yield

    # Jobs

    def create(self, record: JobRecord) -> None:
        """Adds a job; when this returns, the job survives the end of this process.

        Args:
            record: A job with an id that was never used; missing times are set to now.
        """
        now = self._clock()
        values = {name: getattr(record, name) for name in _COLUMNS.replace(" ", "").split(",")}
        values["create_time"] = values["create_time"] or now
        values["update_time"] = values["update_time"] or values["create_time"]
        for name in _JSON_COLUMNS:
            values[name] = json.dumps(values[name])
        names = ", ".join(f":{name}" for name in values)
        with self._database.write() as db:
            seq = db.execute(f"INSERT INTO jobs ({_COLUMNS}) VALUES ({names})", values).lastrowid
            db.executemany("INSERT INTO labels VALUES (?, ?, ?)", [(k, v, seq) for k, v in record.labels.items()])

    def adopt(self, project: str, project_number: str, region: str) -> None:
        """Gives jobs of a version that served one project and region only to this one."""
        with self._database.write() as db:
            sql = "UPDATE jobs SET project = ?, project_number = ?, region = ? WHERE project = ''"
            db.execute(sql, (project, project_number, region))

    def get(self, id: str) -> JobRecord | None:  # noqa: A002
        """The job, or None."""
        found = self._select("id = ?", (id,))
        return found[0][1] if found else None

    def live(self) -> list[JobRecord]:
        """All jobs that have not ended, oldest first."""
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
        """Jobs that match, newest first, each with its sequence number.

        Args:
            where: A condition over the columns of `jobs`, as `queries.compile_jobs` returns it.
            parameters: The values of its question marks.
            before: Only jobs with a lower sequence number: the last one of the page before.
            limit: The largest number of jobs.
        """
        last = 2**62 if before is None else before
        return self._select(f"({where}) AND seq < ? ORDER BY seq DESC LIMIT ?", (*parameters, last, limit))

    def count_by_state(self) -> dict[str, int]:
        """The number of jobs in each state."""
        with self._database.read() as db:
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
        """Changes a job's state, atomically; a terminal state never changes.

        Args:
            id: The job's id.
            state: The new state; may be the current one, to set the other values.
            expected: Change the state only if it is one of these.
            start_time: Ignored if the job has one.
            end_time: For a terminal state; by default now.
            error_code: A google.rpc.Code.
            error_message: The error text for that code.
            attempt: Number of the running attempt.

        Returns:
            False if nothing changed: there is no such job, it has ended, or its state is none of the expected ones.
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
        with self._database.write() as db:
            values = (state, now, start_time, end_time, error_code, error_message, attempt, id, *allowed)
            return db.execute(sql, values).rowcount == 1

    def request_cancel(self, id: str) -> bool:  # noqa: A002
        """Changes the state of a job to CANCELLING; False if the job has ended or doesn't exist."""
        marks = ",".join("?" * len(TERMINAL))
        sql = (
            "UPDATE jobs SET cancel_requested = 1, state = 'JOB_STATE_CANCELLING', update_time = ?"
            f" WHERE id = ? AND state NOT IN ({marks})"
        )
        with self._database.write() as db:
            return db.execute(sql, (self._clock(), id, *TERMINAL)).rowcount == 1

    def note(self, id: str, **detail: object) -> None:  # noqa: A002
        """Merges `detail` into the job's detail; a value of None removes the key."""
        with self._database.write() as db:
            row = db.execute("SELECT detail FROM jobs WHERE id = ?", (id,)).fetchone()
            if row is not None:
                merged = {**json.loads(row[0]), **detail}
                kept = {key: value for key, value in merged.items() if value is not None}
                db.execute("UPDATE jobs SET detail = ? WHERE id = ?", (json.dumps(kept), id))

    def delete(self, id: str, *, operation: str | None = None) -> bool:  # noqa: A002
        """Removes a job, its labels, log entries and cursors.

        Args:
            id: The job's id.
            operation: Name of the long-running operation to store in the same transaction.

        Returns:
            False if there was no such job.
        """
        with self._database.write() as db:
            found = db.execute("DELETE FROM jobs WHERE id = ?", (id,)).rowcount == 1
            db.execute("DELETE FROM logs WHERE job_id = ?", (id,))
            db.execute("DELETE FROM cursors WHERE job_id = ?", (id,))
            if found and operation:
                db.execute("INSERT INTO operations VALUES (?, ?)", (operation, self._clock()))
            return found

    def operation(self, name: str) -> float | None:
        """When the operation of that name was created; None if there is none."""
        with self._database.read() as db:
            row = db.execute("SELECT create_time FROM operations WHERE name = ?", (name,)).fetchone()
            return None if row is None else row[0]

    # Log entries

    def append_logs(
        self,
        id: str,  # noqa: A002
        entries: Sequence[LogEntry],
        cursor: tuple[str, int] | None = None,
        *,
        once: bool = False,
    ) -> None:
        """Adds entries and their source's position in one transaction, so that no entry is lost or repeated.

        Args:
            id: The job's id; entries of a job that doesn't exist are dropped. Empty for entries of no job.
            entries: The entries, in the order in which they were written.
            cursor: Name of the source, and the new position in it, in bytes.
            once: Add nothing if the source was ever read.
        """
        rows = [(id, round(e.timestamp, 6), e.severity, e.task, _payload(e.payload), _extra(e)) for e in entries]
        source = cursor[0] if cursor else ""
        sql = "SELECT (SELECT position FROM cursors WHERE job_id = jobs.id AND stream = ?) FROM jobs WHERE id = ?"
        with self._database.write() as db:
            known = db.execute(sql, (source, id)).fetchone() if id else (None,)
            if known is None or (once and known[0]):
                return
            columns = "job_id, timestamp, severity, task, payload, extra"
            db.executemany(f"INSERT INTO logs ({columns}) VALUES (?, ?, ?, ?, ?, ?)", rows)
            if cursor is not None:
                db.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)", (id, *cursor))
        with self._appended:
            self._appended.notify_all()

    def cursor(self, id: str, stream: str) -> int:  # noqa: A002
        """The position up to which a source was read, in bytes; 0 if it was never read."""
        with self._database.read() as db:
            row = db.execute("SELECT position FROM cursors WHERE job_id = ? AND stream = ?", (id, stream)).fetchone()
            return 0 if row is None else row[0]

    def find_logs(
        self, where: str = "1", parameters: Sequence[object] = (), *, order: str = "seq", limit: int = 1000
    ) -> list[StoredEntry]:
        """Log entries that match.

        Args:
            where: A condition over the columns of `logs`, as `queries.compile_logs` returns it.
            parameters: The values of its question marks.
            order: Columns to order by.
            limit: The largest number of entries.
        """
        # In the order of arrival the table itself is the index: a range of `seq` needs no scan of all entries of a job.
        source = "logs NOT INDEXED" if order == "seq" else "logs"
        columns = "seq, job_id, timestamp, severity, task, payload, extra"
        sql = f"SELECT {columns} FROM {source} WHERE {where} ORDER BY {order} LIMIT ?"
        with self._database.read() as db:
            rows = db.execute(sql, (*parameters, limit)).fetchall()
            return [_entry(row) for row in rows]

    def log_names(self) -> list[str]:
        """The last parts of the names of all logs that have entries."""
        with self._database.read() as db:
            return [row[0] for row in db.execute("SELECT DISTINCT task FROM logs ORDER BY task").fetchall()]

    def last_log(self) -> int:
        """The sequence number of the newest entry; 0 without entries."""
        with self._database.read() as db:
            return db.execute("SELECT coalesce(max(seq), 0) FROM logs").fetchone()[0]

    def wait_for_logs(self, after: int, timeout: float) -> bool:
        """Waits for an entry with a sequence number above `after`; False after `timeout` seconds without one."""
        with self._appended:
            return self._appended.wait_for(lambda: self.last_log() > after, timeout)

    def _select(self, where: str, parameters: Sequence[object]) -> list[tuple[int, JobRecord]]:
        with self._database.read() as db:
            rows = db.execute(f"SELECT seq, {_COLUMNS} FROM jobs WHERE {where}", parameters).fetchall()
            return [(row["seq"], _record(row)) for row in rows]


def _record(row: sqlite3.Row) -> JobRecord:
    values = {name: row[name] for name in row.keys() if name != "seq"}  # noqa: SIM118 - a Row iterates its values
    for name in _JSON_COLUMNS:
        values[name] = json.loads(values[name])
    values["cancel_requested"] = bool(values["cancel_requested"])
    return JobRecord(**values)


def _entry(row: sqlite3.Row) -> StoredEntry:
    extra = json.loads(row[6]) if row[6] else None
    return StoredEntry(row[0], row[1], LogEntry(row[2], row[3], row[4], json.loads(row[5]), extra))


def _extra(entry: LogEntry) -> str | None:
    return None if entry.extra is None else json.dumps(entry.extra)


def _payload(payload: str | dict[str, Any]) -> str:
    try:
        return json.dumps(payload, allow_nan=False)
    except ValueError:
        # Python's {"loss": NaN} is not valid JSON; SQLite and clients would reject it. It is stored as text.
        return json.dumps(json.dumps(payload))
