"""An image is copied from one registry to another: whole, by digest, and only what is missing there."""

from __future__ import annotations

import json

import pytest
from fixtures.images.registry_server import RegistryServer
from fixtures.images.stored_images import make_image
from prefect_vertex_training.core.errors import RegistryError
from prefect_vertex_training.images.copy_image import copy_image
from prefect_vertex_training.images.oci.layout import OciLayout
from prefect_vertex_training.images.oci.reference import Reference
from prefect_vertex_training.images.registry.repository import Repository


def test_only_what_is_missing_travels(open_registry: RegistryServer, layout: OciLayout) -> None:
    """The image is whole in the other repository; a second copy sends nothing, and a missing image is one line."""
    image = make_image(layout, 50_000)
    there = Repository(Reference(open_registry.host, "other-region/tiny"))
    sent = copy_image(image.digest, layout, there)

    assert sent > 50_000
    found = there.get_manifest(image.digest)
    assert found is not None
    manifest = json.loads(found[1])
    for blob in (manifest["config"], *manifest["layers"]):
        with there.open_blob(blob["digest"]) as body:
            assert len(body.read()) == blob["size"]
    assert copy_image(image.digest, layout, there) == 0
    with pytest.raises(RegistryError, match="the image is gone"):
        copy_image(f"sha256:{'0' * 64}", layout, there)
