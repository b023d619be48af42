"""A replica's variables, paths, addresses and log entries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.core.placeholders import expand
from prefect_vertex_training.local_vertex.execution.process.log_files import LogFile
from prefect_vertex_training.local_vertex.execution.process.path_mapping import PathMapper
from prefect_vertex_training.local_vertex.execution.process.rootfs import Rootfs
from prefect_vertex_training.local_vertex.execution.replica.environment import platform_env
from prefect_vertex_training.local_vertex.execution.replica.job_spec import JobSpec
from prefect_vertex_training.local_vertex.execution.replica.log_stream import MAX_LINE, LogStream, service_lines
from prefect_vertex_training.local_vertex.location import Location
from prefect_vertex_training.local_vertex.store.records import JobRecord
from prefect_vertex_training.local_vertex.store.store import Store


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)", "1"),
        ("x$(A)y$(B)", "x1y$(A)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$(NO) $A ${A} $(", "$(NO) $A ${A} $("),
        ("100$$", "100$"),
    ],
)
def test_references_expand_as_in_kubernetes(text: str, expected: str) -> None:
    """Known names expand once, unknown ones stay, `$$` escapes."""
    assert expand(text, {"A": "1", "B": "$(A)"}) == expected


@given(st.text())
def test_text_without_a_dollar_is_left_alone(text: str) -> None:
    """Text without `$` is not changed."""
    plain = text.replace("$", "")

    assert expand(plain, {"A": "1"}) == plain


@pytest.fixture
def mapper(tmp_path: Path) -> PathMapper:
    """An image with /app and /opt/vertex-training/venv."""
    (tmp_path / "tree" / "opt" / "vertex-training" / "venv" / "bin").mkdir(parents=True)
    return PathMapper(Rootfs(tmp_path / "tree", "/app", tmp_path / "code"), tmp_path / "buckets", mounted=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/app/train.py", "T/code/train.py"),
        ("/app", "T/code"),
        ("/apple", "/apple"),
        ("--data=/app/d", "--data=T/code/d"),
        ("/opt/vertex-training/venv/bin:/usr/bin", "T/tree/opt/vertex-training/venv/bin:/usr/bin"),
        ("gs://b/x/", "T/buckets/b/x/"),
        ("--out=gs://b", "--out=T/buckets/b"),
        ("gs://b/../../etc", "T/buckets/b/etc"),
        ("/gcs/b/x/", "T/buckets/b/x/"),
        ("/gcs/b", "T/buckets/b"),
        ("/gcs/b/../../etc", "T/buckets/b/etc"),
        ('{"to": "/gcs/b/x"}', '{"to": "T/buckets/b/x"}'),
        ("http://host/app/x", "http://host/app/x"),
        ("http://host:80/app", "http://host:80/app"),
        ("/", "/"),
        ("a/app", "a/app"),
    ],
)
def test_paths_of_the_image_and_of_buckets_are_found(
    mapper: PathMapper, tmp_path: Path, text: str, expected: str
) -> None:
    """Paths in arguments, options and lists are mapped; other text is not changed."""
    assert mapper.text(text) == expected.replace("T/", f"{tmp_path}/")


def spec(*replicas: int) -> JobSpec:
    """A spec with pools of these sizes; 0 skips one."""
    pools = [{"container_spec": {"image_uri": "x"}, "replica_count": str(n)} if n else {} for n in replicas]
    return JobSpec.parse({"worker_pool_specs": pools, "scheduling": {"timeout": "1.5s"}})


def test_ranks_go_by_pools() -> None:
    """The primary has rank 0; every replica gets all addresses."""
    job = spec(1, 2, 0, 1)
    addresses = {name: f"{name}:2222" for _, _, name in job.replicas()}
    env = platform_env(job, job_id="1", location=Location("p", "2", "r"), addresses=addresses, replica="workerpool3-0")

    assert (env["RANK"], env["WORLD_SIZE"], env["MASTER_ADDR"], env["MASTER_PORT"]) == (
        *("3", "4"),
        *("workerpool0-0", "2222"),
    )
    assert json.loads(env["TF_CONFIG"]) == {
        "cluster": {
            "chief": ["workerpool0-0:2222"],
            "worker": ["workerpool1-0:2222", "workerpool1-1:2222"],
            "evaluator": ["workerpool3-0:2222"],
        },
        "environment": "cloud",
        "task": {"type": "evaluator", "index": 0},
        "job": json.dumps(job.raw),
    }
    assert job.timeout == 1.5


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with the job "1"."""
    store = Store(tmp_path / "store.db")
    store.create(JobRecord(id="1"))
    return store


def payloads(store: Store) -> list[Any]:
    """The payloads of the job's entries."""
    return [line.entry.payload for line in store.find_logs("job_id = '1'", limit=100_000)]


@pytest.mark.parametrize(
    ("line", "severity", "payload"),
    [
        ("plain", "INFO", "plain"),
        ('{"severity": "warning", "message": "m", "x": 1}', "WARNING", {"message": "m", "x": 1}),
        ('{"severity": "odd"}', "INFO", {"severity": "odd"}),
        ('{"message": ', "INFO", '{"message": '),
        ("[1]", "INFO", "[1]"),
        ('{"a": "\\ud800"}', "INFO", '{"a": "\\ud800"}'),
        ('{"a": ' * 40 + "1" + "}" * 40, "INFO", '{"a": ' * 40 + "1" + "}" * 40),
        ("\x00\udcff", "INFO", "\x00\ufffd"),
    ],
)
def test_a_line_of_json_becomes_an_object(store: Store, line: str, severity: str, payload: object) -> None:
    """A JSON object becomes a payload with its severity; other lines stay text."""
    LogStream(store, "1", "workerpool0-0", "1", "stdout").add(line.encode("utf-8", "surrogateescape") + b"\n")
    (found,) = store.find_logs()

    assert (found.entry.severity, found.entry.payload) == (severity, payload)


def test_a_line_without_an_end_waits_for_it(store: Store, tmp_path: Path) -> None:
    """An unfinished line is stored when its newline arrives, or when the output has ended."""
    path = tmp_path / "stdout"
    tail = LogFile(path, LogStream(store, "1", "t", "1", "stdout"))
    path.write_text("one\ntw")
    tail.read()
    assert payloads(store) == ["one"]
    path.write_text("one\ntwo\nthree")
    tail.read()
    assert payloads(store) == ["one", "two"]
    tail.read(final=True)
    assert payloads(store) == ["one", "two", "three"]


def test_a_line_beyond_the_limit_is_cut(store: Store) -> None:
    """Lines longer than 256 KiB, Cloud Logging's limit, are split."""
    LogStream(store, "1", "t", "1", "stdout").add(b"x" * (MAX_LINE + 5) + b"\n")

    assert [len(payload) for payload in payloads(store)] == [MAX_LINE, 5]


@given(st.data())
def test_no_line_is_lost_or_doubled_wherever_reading_was_broken_off(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A new reader continues at the stored position."""
    folder = tmp_path_factory.mktemp("tail")
    store = Store(folder / "store.db")
    store.create(JobRecord(id="1"))
    lines = data.draw(st.lists(st.text(st.characters(exclude_characters="\r\n{", codec="utf-8")), max_size=20))
    content = "\n".join(lines).encode()
    path = folder / "stdout"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=5)))
    for cut in cuts:
        path.write_bytes(content[:cut])
        LogFile(path, LogStream(store, "1", "t", "1", "stdout")).read()
    path.write_bytes(content)
    LogFile(path, LogStream(store, "1", "t", "1", "stdout")).read(final=True)
    found = payloads(store)
    store.close()

    assert found == content.decode().split("\n")[: len(found)]
    assert "\n".join(found).rstrip("\n") == content.decode().rstrip("\n")


def test_a_message_of_the_service_is_stored_once(store: Store) -> None:
    """Only the first message for a key is stored."""
    for _ in range(2):
        service_lines(store, "1", "running", ["Job is running."])

    assert payloads(store) == ["Job is running."]
