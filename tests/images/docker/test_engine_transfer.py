"""What a Docker engine says of its transfers becomes bytes of a meter."""

from __future__ import annotations

import base64

import pytest
from prefect_vertex_training.core.metering.meter import Meter
from prefect_vertex_training.images.docker.build_output import BuildOutput
from prefect_vertex_training.images.docker.engine_transfer import EngineTransfer


@pytest.mark.parametrize("moving", ["Downloading", "Pushing"])
def test_layers_of_a_pull_or_push(moving: str) -> None:
    """As the engine's API sends them: https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Image."""
    meter = Meter("downloading")
    transfer = EngineTransfer(meter)
    answers = [
        {"status": "Pulling from library/python", "id": "3.11-slim"},
        {"status": "Pulling fs layer", "progressDetail": {}, "id": "a"},
        {"status": moving, "progressDetail": {"current": 10, "total": 100}, "id": "a"},
        {"status": moving, "progressDetail": {"current": 5, "total": 50}, "id": "b"},
        {"status": moving, "progressDetail": {"current": 40, "total": 100}, "id": "a"},
    ]
    for answer in answers:
        transfer.handle(answer)
    found = meter.reading()
    assert found is not None
    assert found.amount == "45/150 bytes"

    transfer.handle({"status": "Download complete", "progressDetail": {}, "id": "a"})
    transfer.handle({"status": "Extracting", "progressDetail": {"current": 1, "total": 100}, "id": "a"})
    found = meter.reading()
    assert found is not None
    assert found.amount == "45/90 bytes"

    transfer.close()
    assert meter.reading() is None


def message(*fields: tuple[int, bytes | int]) -> bytes:
    """A protobuf message with these fields, each number below 128."""
    data = b""
    for number, value in fields:
        data += bytes([number << 3, value]) if isinstance(value, int) else bytes([number << 3 | 2, len(value)]) + value
    return data


def test_layers_of_a_base_that_buildkit_pulls() -> None:
    """Statuses of its own protocol; other work of a build is no transfer."""
    meter = Meter("downloading")
    output = BuildOutput("FROM python", lambda _: None, EngineTransfer(meter))

    def status(name: bytes, current: int, *more: tuple[int, bytes | int]) -> None:
        status = message((1, b"sha256:a"), (3, name), (4, current), (5, 100), *more)
        output.handle({"id": "moby.buildkit.trace", "aux": base64.b64encode(message((2, status))).decode()})

    status(b"extracting", 3)
    assert meter.reading() is None
    status(b"downloading", 3)
    status(b"downloading", 60)
    found = meter.reading()
    assert found is not None
    assert found.amount == "60/100 bytes"
    status(b"downloading", 100, (8, b"x"))
    assert meter.reading() is None
