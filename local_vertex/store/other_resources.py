"""The store's resources besides custom jobs, and the results of long-running operations."""

# ruff: noqa: S608 - only names of columns and question marks are put together; every value is a parameter

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from .database import Database
from .records import ResourceRecord

_OWN = "kind, project, region, id, display_name, labels, state, job, message, create_time"
_OF_JOB = ("state", "start_time", "end_time", "update_time", "error_code", "error_message")

# A pipeline is what its job is; where the job was deleted, the trigger `keep_end` has copied how it ended.
_VIEW = (
    "SELECT r.seq, r.kind, r.project, r.region, r.id, r.display_name, r.labels, r.job, r.message, r.create_time, "
    + ", ".join(f"CASE WHEN j.id IS NULL THEN r.{name} ELSE j.{name} END AS {name}" for name in _OF_JOB)
    + " FROM resources r LEFT JOIN jobs j ON j.id = r.job AND r.job != ''"
)


class Resources:
    """Training pipelines and persistent resources, and operations. Each method is one transaction.

    Args:
        database: The store's file.

    Raises:
        StorageError: From every method: the disk is full or read-only.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, record: ResourceRecord) -> bool:
        """Adds a resource; False if there is one of its name."""
        columns = f"{_OWN}, update_time".split(", ")
        values = {name: getattr(record, name) for name in columns}
        values["labels"] = json.dumps(record.labels)
        values["update_time"] = record.update_time or record.create_time
        marks = ", ".join(f":{name}" for name in columns)
        with self._database.write() as db:
            sql = f"INSERT OR IGNORE INTO resources ({', '.join(columns)}) VALUES ({marks})"
            return db.execute(sql, values).rowcount == 1

    def save(self, record: ResourceRecord) -> None:
        """Stores what has changed of a resource: its state, times, error and message; nothing for one that is gone."""
        names = ["state", "message", "start_time", "end_time", "update_time", "error_code", "error_message"]
        values = {name: getattr(record, name) for name in (*names, "kind", "project", "region", "id")}
        sets = ", ".join(f"{name} = :{name}" for name in names)
        where = "kind = :kind AND project = :project AND region = :region AND id = :id"
        with self._database.write() as db:
            db.execute(f"UPDATE resources SET {sets} WHERE {where}", values)

    def get(self, kind: str, project: str, region: str, id: str) -> ResourceRecord | None:  # noqa: A002
        """The resource of a name, or None."""
        where = "kind = ? AND project = ? AND region = ? AND id = ?"
        found = self.find(kind, where, (kind, project, region, id), limit=1)
        return found[0][1] if found else None

    def find(
        self,
        kind: str,
        where: str = "1",
        parameters: Sequence[object] = (),
        *,
        before: int | None = None,
        limit: int = 100,
    ) -> list[tuple[int, ResourceRecord]]:
        """Resources that match, newest first, each with its sequence number.

        Args:
            kind: The collection, for example "trainingPipelines".
            where: A condition over the columns of `resources`.
            parameters: The values of its question marks.
            before: Only resources with a lower sequence number.
            limit: The largest number of resources.
        """
        last = 2**62 if before is None else before
        sql = f"SELECT * FROM ({_VIEW}) WHERE kind = ? AND ({where}) AND seq < ? ORDER BY seq DESC LIMIT ?"
        with self._database.read() as db:
            rows = db.execute(sql, (kind, *parameters, last, limit)).fetchall()
        return [(row["seq"], _resource(row)) for row in rows]

    def delete(self, record: ResourceRecord, *, operation: str, now: float) -> bool:
        """Removes a resource and stores the operation that did it; False if it is gone already."""
        where = "kind = ? AND project = ? AND region = ? AND id = ?"
        with self._database.write() as db:
            values = (record.kind, record.project, record.region, record.id)
            found = db.execute(f"DELETE FROM resources WHERE {where}", values).rowcount == 1
            if found:
                db.execute("INSERT INTO operations VALUES (?, ?)", (operation, now))
            return found

    def add_operation(self, name: str, message: bytes, now: float) -> None:
        """Stores an operation that is done, and its message."""
        with self._database.write() as db:
            db.execute("INSERT INTO operations VALUES (?, ?)", (name, now))
            db.execute("INSERT INTO operation_results VALUES (?, ?)", (name, message))

    def operation_message(self, name: str) -> bytes | None:
        """The message of an operation; None for a deletion, which has no result."""
        with self._database.read() as db:
            row = db.execute("SELECT message FROM operation_results WHERE name = ?", (name,)).fetchone()
            return None if row is None else row[0]

    def operations(self, prefix: str, *, skip: int = 0, limit: int = 100) -> list[tuple[int, str]]:
        """Names of operations, newest first, each with the number of those up to it.

        Args:
            prefix: The beginning of their names.
            skip: How many to leave out.
            limit: The largest number of operations.
        """
        sql = (
            "SELECT name FROM operations WHERE substr(name, 1, ?) = ? ORDER BY create_time DESC, name LIMIT ? OFFSET ?"
        )
        with self._database.read() as db:
            rows = db.execute(sql, (len(prefix), prefix, limit, skip)).fetchall()
        return [(skip + number, row[0]) for number, row in enumerate(rows, start=1)]

    def delete_operation(self, name: str) -> bool:
        """Removes an operation; False if there was none."""
        with self._database.write() as db:
            db.execute("DELETE FROM operation_results WHERE name = ?", (name,))
            return db.execute("DELETE FROM operations WHERE name = ?", (name,)).rowcount == 1


def _resource(row: sqlite3.Row) -> ResourceRecord:
    values = {name: row[name] for name in row.keys() if name != "seq"}  # noqa: SIM118 - a Row iterates its values
    return ResourceRecord(**{**values, "labels": json.loads(values["labels"])})
