"""The storage server's life: started on demand, found again, the same address after a restart."""

from __future__ import annotations

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prefect_vertex_training.local_vertex.execution.replica.storage_access import StorageAccess
from prefect_vertex_training.local_vertex.location import Location
from prefect_vertex_training.local_vertex.storage import storage_service


def process_of(service: Any) -> int:
    """The server's process."""
    return json.loads(storage_service.call(service, "status"))["process"]


@pytest.fixture
def vertex(tmp_path: Path) -> Any:
    """A folder of local_vertex; its server is ended afterwards."""
    yield tmp_path / "vertex"
    storage_service.stop(tmp_path / "vertex")


def test_many_who_start_it_at_once_get_the_same(vertex: Path) -> None:
    """One process serves a home; stopping says whether there was one."""
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: storage_service.ensure_running(vertex), range(4)))

    assert len(found) == 1
    assert storage_service.find(vertex) in found
    assert (vertex / "storage" / "service.json").stat().st_mode & 0o077 == 0
    assert storage_service.stop(vertex)
    assert not storage_service.stop(vertex)
    assert storage_service.find(vertex) is None


def test_a_killed_server_comes_back_at_its_address(vertex: Path) -> None:
    """Jobs keep the address that they were started with; unfinished uploads of the killed server are removed."""
    first = storage_service.ensure_running(vertex)
    os.kill(process_of(first), signal.SIGKILL)
    while storage_service.find(vertex) is not None:
        time.sleep(0.01)
    half = vertex / "storage" / "uploads" / "put-half"
    half.write_bytes(b"half")
    second = storage_service.ensure_running(vertex)

    assert second == first
    process_of(second)
    assert not half.exists()


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("127.0.0.2", "127.0.0.2"),
        # The gateway of an engine in a virtual machine, which no interface here has: TEST-NET-3 of RFC 5737.
        ("203.0.113.1", "host-gateway"),
        (None, "host-gateway"),
    ],
)
def test_how_a_container_finds_it(vertex: Path, address: str | None, host: str) -> None:
    """At the engine's gateway where the server can listen there; else at what the engine takes for this machine."""
    found = StorageAccess(vertex, Location("local", "1", "us-central1")).for_container(address)

    assert found.host == host
    assert "http://host.docker.internal:" in found.variables["STORAGE_EMULATOR_HOST"]
