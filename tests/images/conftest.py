"""A small image in a layout, and a client without waits of a registry behind a proxy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.images.faulty_proxy import Proxy, faulty_proxy
from fixtures.images.registry_server import RegistryServer
from fixtures.images.stored_images import make_image
from prefect_vertex_training.images.oci.image_types import BuiltImage
from prefect_vertex_training.images.oci.layout import OciLayout
from prefect_vertex_training.images.oci.reference import Reference
from prefect_vertex_training.images.registry.repository import Repository
from prefect_vertex_training.images.registry.transport import Transport


@pytest.fixture
def layout(tmp_path: Path) -> OciLayout:
    """An empty layout."""
    return OciLayout(tmp_path / "images", "thing")


@pytest.fixture
def image(layout: OciLayout) -> BuiltImage:
    """A small layer, one that is streamed, and a config."""
    return make_image(layout, 1000, 700_000)


@pytest.fixture
def proxy(open_registry: RegistryServer) -> Iterator[Proxy]:
    """A proxy without faults, until a test sets some."""
    with faulty_proxy(open_registry.host) as proxy:
        yield proxy


@pytest.fixture
def waits() -> list[float]:
    """The seconds that a client would have waited."""
    return []


@pytest.fixture
def repository(proxy: Proxy, waits: list[float], request: pytest.FixtureRequest) -> Repository:
    """A repository of its own for each test, behind the proxy."""
    reference = Reference.parse(f"{proxy.host}/t{os.urandom(6).hex()}/thing")
    transport = Transport(reference.host, reference.repository, None, sleep=waits.append)
    return Repository(reference, transport=transport)
