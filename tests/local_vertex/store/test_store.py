"""The store: durability, atomic changes, and errors of the disk."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest
from prefect_vertex_training.core.errors import LocalServiceError, StorageError
from prefect_vertex_training.local_vertex.store.database import _SCHEMA, _VERSION
from prefect_vertex_training.local_vertex.store.records import TERMINAL, JobRecord, LogEntry
from prefect_vertex_training.local_vertex.store.store import Store

PENDING, RUNNING, SUCCEEDED = "JOB_STATE_PENDING", "JOB_STATE_RUNNING", "JOB_STATE_SUCCEEDED"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store; its clock always returns 100 s."""
    return Store(tmp_path / "store.db", clock=lambda: 100.0)


def line(text: str, timestamp: float = 1.0) -> LogEntry:
    """A log entry of a job."""
    return LogEntry(timestamp, "INFO", "workerpool0-0", text)


@pytest.mark.parametrize("earlier", ["", f"PRAGMA journal_mode=WAL; {_SCHEMA} PRAGMA user_version={_VERSION};"])
def test_several_may_make_a_store_or_bring_it_up_to_date_at_once(tmp_path: Path, earlier: str) -> None:
    """A service that starts and commands that read, each in its own connection; all find its tables."""
    for number in range(20):
        path = tmp_path / f"{number}.db"
        path.touch()
        with closing(sqlite3.connect(path)) as database:
            database.executescript(earlier)
        together = Barrier(6)

        def opened(place: int, path: Path = path, together: Barrier = together) -> None:
            together.wait()
            store = Store(path, read_only=place > 0)
            assert store.get("absent") is None
            store.close()

        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(opened, range(6))) == [None] * 6


def test_a_job_comes_back_as_it_was_stored(store: Store) -> None:
    """Every field is read as it was written."""
    record = JobRecord(
        id="7",
        display_name="ünï",
        labels={"a": "b"},
        spec={"worker_pool_specs": [{"replica_count": "1"}]},
        detail={"pid": 4},
        message=b"\x00\xff",
        create_time=50.5,
        update_time=60.5,
    )
    store.create(record)

    assert record == Store(store.path).get("7")


def test_ids_are_unique(store: Store) -> None:
    """A second job with the same id is rejected and changes nothing."""
    store.create(JobRecord(id="1", display_name="first"))
    with pytest.raises(sqlite3.IntegrityError):
        store.create(JobRecord(id="1", display_name="second"))

    assert [record.display_name for record in store.live()] == ["first"]


@pytest.mark.parametrize("state", TERMINAL)
def test_a_terminal_state_never_changes(store: Store, state: str) -> None:
    """Neither a transition nor a cancellation changes it, whatever states are expected."""
    store.create(JobRecord(id="1"))
    assert store.transition("1", state, error_code=3, error_message="first")

    assert not store.transition("1", RUNNING)
    assert not store.transition("1", SUCCEEDED, expected=[state], error_message="second")
    assert not store.request_cancel("1")
    record = store.get("1")
    assert record is not None
    assert (record.state, record.error_message, record.end_time) == (state, "first", 100.0)


def test_a_transition_needs_the_expected_state(store: Store) -> None:
    """The state changes only from an expected one."""
    store.create(JobRecord(id="1"))

    assert not store.transition("1", SUCCEEDED, expected=[RUNNING])
    assert store.transition("1", RUNNING, expected=[PENDING], start_time=5.0, attempt=1)
    assert store.transition("1", RUNNING, start_time=9.0, attempt=2)
    record = store.get("1")
    assert record is not None
    assert (record.start_time, record.attempt) == (5.0, 2)
    assert not store.transition("2", RUNNING)


def test_one_of_many_racing_transitions_wins(store: Store) -> None:
    """If threads end a job at the same time, the first one wins."""
    store.create(JobRecord(id="1"))
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: store.transition("1", SUCCEEDED, error_message=str(n)), range(32)))

    record = store.get("1")
    assert record is not None
    assert [str(n) for n, first in enumerate(won) if first] == [record.error_message]


def test_a_cancel_moves_a_live_job(store: Store) -> None:
    """Flag and state are one transaction, so a killed service has stored both or none."""
    store.create(JobRecord(id="1"))

    assert store.request_cancel("1")
    record = store.get("1")
    assert record is not None
    assert (record.state, record.cancel_requested) == ("JOB_STATE_CANCELLING", True)


def test_notes_are_merged(store: Store) -> None:
    """New keys are added, existing ones replaced, and None removes a key."""
    store.create(JobRecord(id="1", detail={"a": 1, "b": 2}))
    store.note("1", b=3, c={"d": [4]}, a=None)

    record = store.get("1")
    assert record is not None
    assert record.detail == {"b": 3, "c": {"d": [4]}}


def test_lines_and_their_cursor_are_one_write(store: Store) -> None:
    """If the cursor can't be stored, no entries are stored."""
    store.create(JobRecord(id="1"))
    store.append_logs("1", [line("a")], ("stdout", 2))
    with pytest.raises(sqlite3.ProgrammingError):
        store.append_logs("1", [line("b")], ("stdout", object()))  # pyright: ignore[reportArgumentType]

    assert [found.entry.payload for found in store.find_logs()] == ["a"]
    assert store.cursor("1", "stdout") == 2
    assert store.cursor("1", "stderr") == 0


def test_a_line_that_is_no_json_after_all_is_text(store: Store) -> None:
    """NaN and infinity, which diverging trainings log, are stored as text."""
    store.create(JobRecord(id="1"))
    payload = {"loss": float("nan"), "grad": [float("inf")]}
    store.append_logs("1", [LogEntry(1.0, "INFO", "workerpool0-0", payload)])

    assert store.find_logs("json_type(payload) = 'text'")[0].entry.payload == '{"loss": NaN, "grad": [Infinity]}'


def test_a_deleted_job_leaves_nothing(store: Store) -> None:
    """Entries and cursor are removed, and a late writer can't add new ones."""
    store.create(JobRecord(id="1", labels={"a": "b"}))
    store.append_logs("1", [line("a")], ("stdout", 2))

    assert store.delete("1", operation="op")
    assert not store.delete("1", operation="other")
    store.append_logs("1", [line("late")], ("stdout", 9))
    assert store.find_logs() == []
    assert store.cursor("1", "stdout") == 0
    assert store.find("seq IN (SELECT job FROM labels)") == []
    assert (store.operation("op"), store.operation("other")) == (100.0, None)


def test_who_waits_for_lines_is_woken(store: Store) -> None:
    """An entry ends the wait at once; without one it ends at the timeout."""
    store.create(JobRecord(id="1"))
    with ThreadPoolExecutor() as pool:
        waiter = pool.submit(store.wait_for_logs, 0, 60.0)
        store.append_logs("1", [line("a")])
        assert waiter.result(timeout=60)

    assert not store.wait_for_logs(store.last_log(), 0.001)


def test_a_full_disk_is_an_error_and_harms_nothing(store: Store) -> None:
    """Stored data stays readable, and writing works again when there is room."""
    store.create(JobRecord(id="1"))
    store._database.connection.execute(
        f"PRAGMA max_page_count={store._database.connection.execute('PRAGMA page_count').fetchone()[0] + 2}"
    )

    def fill() -> None:
        for number in range(1000):
            store.append_logs("1", [line("x" * 500)] * 10, ("stdout", number))

    with pytest.raises(StorageError) as failure:
        fill()
    kept = store.find_logs(limit=10_000)

    assert "full" in str(failure.value)
    assert "\n" not in str(failure.value)
    assert len(kept) == 10 * (store.cursor("1", "stdout") + 1)
    store._database.connection.execute("PRAGMA max_page_count=1000000")
    assert store.transition("1", SUCCEEDED)
    assert store._database.connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


@pytest.mark.parametrize("damage", ["no database", "a page", "cut", "a job's record"])
def test_a_damaged_store_is_moved_aside(damage: str, tmp_path: Path) -> None:
    """An empty store takes its place; one that is only read is an error that names the file."""
    path = tmp_path / "store.db"
    before = Store(path)
    for number in range(200):
        before.create(JobRecord(id=str(number), display_name="x" * 500, labels={}, spec={"a": "b" * 500}))
    before._database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if damage == "a job's record":
        before._database.connection.execute("UPDATE jobs SET spec = '{' WHERE id = '7'")
    before.close()
    data = bytearray(path.read_bytes())
    if damage == "no database":
        data = bytearray(b"not a database at all" * 100)
    elif damage == "a page":
        data[20_000:40_000] = bytes(20_000)
    elif damage == "cut":
        data = data[: len(data) // 2]
    path.write_bytes(data)

    store = Store(path)
    assert store.live() == []
    assert path.with_name("store.db.damaged").read_bytes()[:1000] == bytes(data[:1000])
    store.close()
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StorageError, match=r"store\.db"):
        Store(path, read_only=True).live()


def test_a_store_of_another_version_is_refused(store: Store) -> None:
    """A store of a newer version is not changed."""
    store._database.connection.execute("PRAGMA user_version=99")
    with pytest.raises(LocalServiceError, match="version 99"):
        Store(store.path)


def test_a_reader_sees_but_can_not_write(store: Store) -> None:
    """The command line can read a store that a service writes."""
    store.create(JobRecord(id="1"))
    reader = Store(store.path, read_only=True)

    assert reader.count_by_state() == {PENDING: 1}
    with pytest.raises(StorageError):
        reader.create(JobRecord(id="2"))


WRITER = """
import sys
from pathlib import Path
from prefect_vertex_training.local_vertex.store.database import _SCHEMA, _VERSION
from prefect_vertex_training.local_vertex.store.records import JobRecord, LogEntry
from prefect_vertex_training.local_vertex.store.store import Store
store = Store(Path(sys.argv[1]))
store.create(JobRecord(id="1"))
for number in range(1, 1_000_000):
    store.append_logs("1", [LogEntry(1.0, "INFO", "t", str(number))], ("stdout", number))
    print(number, flush=True)
"""


def test_what_was_written_survives_a_kill(tmp_path: Path) -> None:
    """After `kill -9` every acknowledged entry is stored once, and the cursor matches the entries."""
    path = tmp_path / "store.db"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    acknowledged = [next(writer.stdout) for _ in range(50)]
    os.kill(writer.pid, signal.SIGKILL)
    acknowledged += writer.stdout.readlines()
    writer.wait()
    store = Store(path)
    lines = [found.entry.payload for found in store.find_logs(limit=1_000_000)]

    assert lines == [str(number) for number in range(1, len(lines) + 1)]
    assert len(lines) >= len([whole for whole in acknowledged if whole.endswith("\n")])
    assert store.cursor("1", "stdout") == len(lines)
