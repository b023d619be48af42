"""The log methods, called with Google's client."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from google.api_core import exceptions
from prefect_vertex_training.local_vertex.store.records import JobRecord, LogEntry
from prefect_vertex_training.local_vertex.store.store import Store

PROJECT = ["projects/local"]


def write(store: Store, job: str, *texts: str, task: str = "workerpool0-0", timestamp: float | None = None) -> None:
    """Log entries of a job."""
    moment = time.time() if timestamp is None else timestamp
    store.append_logs(job, [LogEntry(moment, "INFO", task, text) for text in texts])


@pytest.fixture
def lines(local: Any) -> Any:
    """A service with two jobs, of which the first has ten log entries."""
    for job in "12":
        local.store.create(JobRecord(id=job))
    for number in range(10):
        write(local.store, "1", f"line {number}", timestamp=1_800_000_000 + number / 8)
    return local


def test_an_entry_has_the_fields_of_vertex_ai(local: Any) -> None:
    """Resource, labels, severity, time and payload are in the same fields as with Vertex AI."""
    local.store.create(JobRecord(id="1"))
    local.store.append_logs("1", [LogEntry(1_800_000_000.123456, "ERROR", "workerpool0-0", "boom\t€")])
    local.store.append_logs("1", [LogEntry(1_800_000_001.0, "WARNING", "service", {"message": "m", "n": [1, None]})])
    text, structured = local.logs().list_log_entries({"resource_names": PROJECT})

    assert (text.resource.type, dict(text.resource.labels)) == (
        "ml_job",
        {"job_id": "1", "task_name": "workerpool0-0", "project_id": "local"},
    )
    assert (text.log_name, text.severity, text.text_payload) == ("projects/local/logs/workerpool0-0", 500, "boom\t€")
    assert text.timestamp.isoformat() == "2027-01-15T08:00:00.123456+00:00"
    assert (structured.severity, dict(structured.json_payload)["message"]) == (400, "m")
    assert text.insert_id < structured.insert_id


@pytest.mark.parametrize("order", ["timestamp asc", "timestamp desc", ""])
def test_lines_are_paged_in_order(lines: Any, order: str) -> None:
    """Pages neither skip nor repeat entries; the default order is oldest first."""
    request = {"resource_names": PROJECT, "page_size": 3, "order_by": order, "filter": 'resource.labels.job_id="1"'}
    found = [entry.text_payload for entry in lines.logs().list_log_entries(request)]
    expected = [f"line {number}" for number in range(10)]

    assert found == (expected[::-1] if order.endswith("desc") else expected)


def test_a_reader_can_go_on_where_it_stopped(lines: Any) -> None:
    """Filters by the timestamp of the last entry, with an overlap, as a client of the real service does."""
    logs = lines.logs()
    half = list(itertools.islice(logs.list_log_entries({"resource_names": PROJECT, "page_size": 2}), 5))
    since = half[-1].timestamp.isoformat()
    rest = list(logs.list_log_entries({"resource_names": PROJECT, "filter": f'timestamp>="{since}"'}))

    assert [entry.text_payload for entry in rest] == [f"line {number}" for number in range(4, 10)]
    assert rest[0].insert_id == half[-1].insert_id


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"filter": "severity=LOUD"}, exceptions.InvalidArgument),
        ({"page_size": 1001}, exceptions.InvalidArgument),
        ({"page_size": -1}, exceptions.InvalidArgument),
        ({"order_by": "severity"}, exceptions.InvalidArgument),
        ({"page_token": "x"}, exceptions.InvalidArgument),
        ({"resource_names": []}, exceptions.InvalidArgument),
        ({"resource_names": ["projects/other"]}, exceptions.PermissionDenied),
    ],
)
def test_a_bad_request_is_refused(local: Any, fields: dict[str, Any], error: type[Exception]) -> None:
    """Invalid requests are rejected."""
    with pytest.raises(error):
        local.logs().list_log_entries({"resource_names": PROJECT, **fields})


def test_sixty_log_reads_a_minute(local: Any) -> None:
    """ListLogEntries has a quota if quotas are enforced."""
    local.runner.faults.update({"quotas": True, "log_reads_per_minute": 2.0})
    logs = local.logs()
    for _ in range(2):
        logs.list_log_entries({"resource_names": PROJECT})
    with pytest.raises(exceptions.ResourceExhausted):
        logs.list_log_entries({"resource_names": PROJECT})


class Tail:
    """An open TailLogEntries stream that a thread reads."""

    def __init__(self, local: Any, text: str) -> None:
        self.request = {"resource_names": PROJECT, "filter": text, "buffer_window": {"seconds": 0}}
        self.logs = local.logs()
        self.texts: list[str] = []
        self.arrived = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        # The client waits for the first response before it hands out the stream.
        with contextlib.suppress(exceptions.GoogleAPICallError):
            self.stream = self.logs.tail_log_entries(iter([self.request]))
            for response in self.stream:
                with self.arrived:
                    self.texts += [entry.text_payload for entry in response.entries]
                    self.arrived.notify_all()

    def wait_for(self, *texts: str) -> None:
        """Waits for these entries."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: set(texts) <= set(self.texts), 30), self.texts


def opened(local: Any, text: str, job: str) -> Tail:
    """A stream that has received its first entry, so it is open."""
    tail = Tail(local, text)
    for number in range(100):
        write(local.store, job, f"probe {number}")
        with tail.arrived:
            if tail.arrived.wait_for(lambda: bool(tail.texts), 0.02):
                return tail
    raise AssertionError("the stream never opened")


def test_a_tail_gets_every_new_line_of_its_filter(lines: Any) -> None:
    """Entries arrive once and in order, from the opening of the stream on, without those of other jobs."""
    tail = opened(lines, 'resource.labels.job_id="2"', "2")
    expected = [f"new {number}" for number in range(2500)]
    for start in range(0, 2500, 500):
        write(lines.store, "2", *expected[start : start + 500])
        write(lines.store, "1", "not for it")
    tail.wait_for(expected[-1])

    assert [text for text in tail.texts if text.startswith("new")] == expected
    assert not {"not for it", "line 0"} & set(tail.texts)
    tail.stream.cancel()


def test_ten_tails_at_a_time(local: Any) -> None:
    """One stream above the limit is RESOURCE_EXHAUSTED, until another one ends."""
    local.store.create(JobRecord(id="1"))
    local.runner.faults.update({"tail_sessions": 2})
    first, second = opened(local, "", "1"), opened(local, "", "1")
    with pytest.raises(exceptions.ResourceExhausted, match="tail"):
        next(iter(local.logs().tail_log_entries(iter([{"resource_names": PROJECT}]))))
    first.stream.cancel()
    for _ in _patience():
        try:
            opened(local, "", "1").stream.cancel()
            break
        except AssertionError:
            continue
    second.stream.cancel()


def test_a_bad_tail_is_refused(local: Any) -> None:
    """The same errors as for a list."""
    with pytest.raises(exceptions.InvalidArgument, match="LOUD"):
        next(iter(local.logs().tail_log_entries(iter([{"resource_names": PROJECT, "filter": "severity=LOUD"}]))))


def _patience() -> Iterator[int]:
    for attempt in range(50):
        yield attempt
        time.sleep(0.1)
    raise AssertionError("the ended stream kept its place")
