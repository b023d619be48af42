"""What local_vertex remembers: jobs, their states and their lines.

Every method is one transaction, so a `kill -9` at any moment leaves each of them done or not done.
"""

# ruff: noqa: S608 - only names of columns and question marks are put together; every value is a parameter

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from .database import Database
from .records import TERMINAL, JobRecord, LogEntry, StoredEntry

__all__ = ["TERMINAL", "JobRecord", "LogEntry", "Store", "StoredEntry"]

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
        self._database = Database(path, read_only=read_only)
        self._clock = clock
        self._appended = threading.Condition()

    def close(self) -> None:
        """Ends the use of the file; everything that was written stays."""
        self._database.close()

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
        with self._database.write() as db:
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
        with self._database.write() as db:
            values = (state, now, start_time, end_time, error_code, error_message, attempt, id, *allowed)
            return db.execute(sql, values).rowcount == 1

    def request_cancel(self, id: str) -> bool:  # noqa: A002
        """Marks a live job as to be cancelled and moves it to CANCELLING; False when it has ended or is unknown."""
        marks = ",".join("?" * len(TERMINAL))
        sql = (
            "UPDATE jobs SET cancel_requested = 1, state = 'JOB_STATE_CANCELLING', update_time = ?"
            f" WHERE id = ? AND state NOT IN ({marks})"
        )
        with self._database.write() as db:
            return db.execute(sql, (self._clock(), id, *TERMINAL)).rowcount == 1

    def note(self, id: str, **detail: object) -> None:  # noqa: A002
        """Merges `detail` into the job's notes; a value of None removes its key."""
        with self._database.write() as db:
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
        with self._database.write() as db:
            found = db.execute("DELETE FROM jobs WHERE id = ?", (id,)).rowcount == 1
            db.execute("DELETE FROM logs WHERE job_id = ?", (id,))
            db.execute("DELETE FROM cursors WHERE job_id = ?", (id,))
            if found and operation:
                db.execute("INSERT INTO operations VALUES (?, ?)", (operation, self._clock()))
            return found

    def operation(self, name: str) -> float | None:
        """When the operation of that name was made, or None."""
        with self._database.read() as db:
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
        with self._database.write() as db:
            if db.execute("SELECT 1 FROM jobs WHERE id = ?", (id,)).fetchone() is None:
                return
            db.executemany("INSERT INTO logs (job_id, timestamp, severity, task, payload) VALUES (?, ?, ?, ?, ?)", rows)
            if cursor is not None:
                db.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)", (id, *cursor))
        with self._appended:
            self._appended.notify_all()

    def cursor(self, id: str, stream: str) -> int:  # noqa: A002
        """How far the source was read, bytes; 0 for one that never was."""
        with self._database.read() as db:
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
        with self._database.read() as db:
            rows = db.execute(sql, (*parameters, limit)).fetchall()
        return [StoredEntry(row[0], row[1], LogEntry(row[2], row[3], row[4], json.loads(row[5]))) for row in rows]

    def last_log(self) -> int:
        """The place of the newest line, 0 without any."""
        with self._database.read() as db:
            return db.execute("SELECT coalesce(max(seq), 0) FROM logs").fetchone()[0]

    def wait_for_logs(self, after: int, timeout: float) -> bool:
        """Waits until a line beyond the place `after` is there; False when `timeout` seconds passed without one."""
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


def _payload(payload: str | dict[str, Any]) -> str:
    try:
        return json.dumps(payload, allow_nan=False)
    except ValueError:
        # {"loss": NaN} is no JSON, whatever Python says: SQLite and every client would refuse it. It stays readable.
        return json.dumps(json.dumps(payload))
