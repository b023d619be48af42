"""Fixtures for the tests of `vertex/`: a scripted service behind a socket, and a clock that the tests move."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.google.scripted_vertex import Clock, TinyVertex, Wire, serve
from prefect_vertex_training.core.job_options import Machine
from prefect_vertex_training.vertex.client.connection import Connection, Pace
from prefect_vertex_training.vertex.client.endpoints import LocalEndpoint
from prefect_vertex_training.vertex.job_types import JobRequest


@pytest.fixture(scope="session")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """One server for the session; each test puts its own `TinyVertex` behind it."""
    with serve(f"unix:{tmp_path_factory.mktemp('wire')}/s") as wire:
        yield wire


PACE = Pace(settle=45, poll=5, log_poll=5, log_page=1, log_overlap=10, log_drain=15, patience=600, deadline=10)


@pytest.fixture
def clock() -> Clock:
    """The test's own time."""
    return Clock()


@pytest.fixture
def vertex(wire: Wire, clock: Clock) -> TinyVertex:
    """An empty service that shares the test's clock."""
    wire.vertex = TinyVertex(clock)
    return wire.vertex


@pytest.fixture
def connection(wire: Wire, vertex: TinyVertex, tmp_path: Path) -> Connection:
    """A connection with the cloud's pace, to the scripted service."""
    place = LocalEndpoint("my-project", "europe-west4", "bucket", wire.target, None, tmp_path / "buckets")
    return Connection(lambda: place, PACE)


@pytest.fixture
def request_() -> JobRequest:
    """A small valid request."""
    return JobRequest(
        display_name="digits",
        image=f"europe-docker.pkg.dev/p/r/digits@sha256:{'a' * 64}",
        output="gs://bucket/out",
        args=["--epochs", "3"],
        machine=Machine(),
    )
