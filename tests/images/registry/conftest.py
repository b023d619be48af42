"""A small image in a layout, and a client of a proxied registry that doesn't wait."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.faulty_proxy import Proxy, faulty_proxy
from fixtures.registry_server import RegistryServer
from prefect_vertex_training.images.config import OCI
from prefect_vertex_training.images.layout import OciLayout
from prefect_vertex_training.images.model import BuiltImage, Descriptor
from prefect_vertex_training.images.reference import Reference
from prefect_vertex_training.images.registry import Repository
from prefect_vertex_training.images.transport import Transport
from prefect_vertex_training.images.verify import sha256


def put(layout: OciLayout, media_type: str, data: bytes) -> Descriptor:
    """A blob in the layout."""
    blob = Descriptor(media_type, sha256(data), len(data))
    layout.put_blob(blob, lambda: io.BytesIO(data))
    return blob


def make_image(layout: OciLayout, *sizes: int) -> BuiltImage:
    """An image whose layers are random bytes of these sizes: no two tests share a blob."""
    layers = [put(layout, OCI.layer, os.urandom(size)) for size in sizes]
    config = put(layout, OCI.config, json.dumps({"nonce": os.urandom(8).hex()}).encode())
    blobs = [{"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size} for blob in (config, *layers)]
    manifest = {"schemaVersion": 2, "mediaType": OCI.manifest, "config": blobs[0], "layers": blobs[1:]}
    descriptor = layout.put_manifest(json.dumps(manifest).encode(), OCI.manifest)
    return BuiltImage(layout.reference(descriptor.digest), descriptor.digest, OCI.manifest, sum(sizes))


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
    """A proxy that breaks nothing until it is told to."""
    with faulty_proxy(open_registry.host) as proxy:
        yield proxy


@pytest.fixture
def waits() -> list[float]:
    """What a client would have slept."""
    return []


@pytest.fixture
def repository(proxy: Proxy, waits: list[float], request: pytest.FixtureRequest) -> Repository:
    """A repository of its own for each test, behind the proxy."""
    reference = Reference.parse(f"{proxy.host}/t{os.urandom(6).hex()}/thing")
    transport = Transport(reference.host, reference.repository, None, sleep=waits.append)
    return Repository(reference, transport=transport)
