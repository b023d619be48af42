"""Pushes: which blobs are sent, from where, and with how many requests."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from fixtures.images.faulty_proxy import Fault, Proxy
from fixtures.images.registry_server import RegistryServer
from fixtures.images.stored_images import assert_whole, make_base, make_image
from prefect_vertex_training.images.base.resolve import Base, resolve_base
from prefect_vertex_training.images.build import build
from prefect_vertex_training.images.oci.config import OCI
from prefect_vertex_training.images.oci.content_tag import find_image, image_tag
from prefect_vertex_training.images.oci.image_types import BuiltImage, Descriptor, ImageRequest
from prefect_vertex_training.images.oci.layout import OciLayout
from prefect_vertex_training.images.oci.reference import Reference
from prefect_vertex_training.images.oci.target import ImageTarget
from prefect_vertex_training.images.push import prepare_uploads, push
from prefect_vertex_training.images.registry.auth import Credentials
from prefect_vertex_training.images.registry.repository import Repository
from prefect_vertex_training.project.files.listing import list_files
from prefect_vertex_training.project.settings.settings import load

FINGERPRINT = "ab" * 32


def base_at(source: ImageTarget, name: str, tmp_path: Path, credentials: Credentials | None = None) -> Base:
    """A base that is stored in `source`."""
    make_base(source, "usr/bin/python3.11")
    return resolve_base(f"{name}:v1", cache=tmp_path / "cache", python="3.11", credentials=lambda _: credentials)


def image_on(base: Base, layout: OciLayout) -> BuiltImage:
    """An image of the base's layers and one of its own."""
    own = make_image(layout, 1000)
    manifest = json.loads(layout.blob_path(own.digest).read_bytes())
    below = [{"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size} for blob in base.layers]
    manifest["layers"] = [*below, *manifest["layers"]]
    descriptor = layout.put_manifest(json.dumps(manifest).encode(), OCI.manifest)
    return BuiltImage(layout.reference(descriptor.digest), descriptor.digest, OCI.manifest, 0)


def test_a_base_in_another_registry_is_copied(
    repository: Repository, proxy: Proxy, docker_registry: RegistryServer, layout: OciLayout, tmp_path: Path
) -> None:
    """Each registry gets its own credentials; nothing is stored here, and the next push asks for no blob."""
    user = Credentials.fixed(docker_registry.username, docker_registry.password)
    place = Reference(docker_registry.host, f"b{os.urandom(6).hex()}/x")
    base = base_at(Repository(place, credentials=user), f"{place.host}/{place.repository}", tmp_path, user)
    image = image_on(base, layout)
    done = push(image, layout, repository, tags=["tag"], base=base, cache=tmp_path / "cache")
    asked = len(proxy.seen)
    push(image, layout, repository, tags=["tag"], base=base, cache=tmp_path / "cache")

    assert not [request for request in proxy.seen[asked:] if "/blobs/" in request]
    assert [layer.action for layer in done.layers] == ["uploaded", "uploaded"]
    assert not layout.has_blob(base.layers[0].digest)
    with repository.open_blob(base.layers[0].digest) as body:
        assert len(body.read()) == base.layers[0].size


def test_a_base_is_mounted_during_the_build(
    repository: Repository, proxy: Proxy, layout: OciLayout, tmp_path: Path
) -> None:
    """The build reports it, and the push sends only the manifest and its tag."""
    place = Reference(proxy.host, f"b{os.urandom(6).hex()}/x")
    base = base_at(Repository(place), f"{place.host}/{place.repository}", tmp_path)
    root = tmp_path / "project"
    root.mkdir()
    (root / "train.py").write_text("print()")
    request = ImageRequest(
        "thing",
        root,
        list_files(root, load(root)),
        "train.py",
        "",
        "3.11",
        base=base.reference,
        fingerprint=FINGERPRINT,
    )
    image = build(request, layout, cache=tmp_path / "cache", base=base, upload_to=repository)
    proxy.seen.clear()
    push(image, layout, repository, tags=["tag"], base=base, cache=tmp_path / "cache")

    assert [(layer.title, layer.action) for layer in image.layers] == [
        ("base", "mounted"),
        (image.layers[1].title, "uploaded"),
        ("code 1/8", "uploaded"),
    ]
    assert [request.rpartition("/")[0].split("/")[-1] for request in proxy.seen] == ["manifests", "manifests"]
    assert_whole(repository, image)


@pytest.mark.parametrize("status", [401, 403])
def test_a_mount_that_is_denied_goes_on_as_an_upload(
    status: int, repository: Repository, proxy: Proxy, layout: OciLayout, tmp_path: Path
) -> None:
    """Some registries refuse a mount instead of opening an upload."""
    place = Reference(proxy.host, f"b{os.urandom(6).hex()}/x")
    base = base_at(Repository(place), f"{place.host}/{place.repository}", tmp_path)
    proxy.choose = lambda _method, path, _number: Fault(status=status) if "mount=" in path else None
    done = push(image_on(base, layout), layout, repository, tags=["tag"], base=base)

    assert [layer.action for layer in done.layers] == ["uploaded", "uploaded"]
    assert len([request for request in proxy.seen if "mount=" in request]) == 1
    assert repository.has_blob(base.layers[0].digest)


def test_nothing_changed_is_two_requests(
    repository: Repository, proxy: Proxy, layout: OciLayout, tmp_path: Path
) -> None:
    """One for the image, and one for the base's tag if it wasn't resolved within the hour."""
    place = Reference(proxy.host, f"b{os.urandom(6).hex()}/x")
    base = base_at(Repository(place), f"{place.host}/{place.repository}", tmp_path)
    _ = base.contents  # a build has read it
    pushed = push(image_on(base, layout), layout, repository, tags=[image_tag(FINGERPRINT)], base=base)

    for max_age, asked in ((0.0, 2), (3600.0, 1)):
        proxy.seen.clear()
        text = f"{place.host}/{place.repository}:v1"
        resolve_base(text, cache=tmp_path / "cache", python="3.11", credentials=lambda _: None, max_age=max_age)
        found = find_image(repository, FINGERPRINT)

        assert found is not None
        assert found.reference == pushed.reference
        assert [request.split()[0] for request in proxy.seen] == ["HEAD"] * asked


def test_an_edit_is_three_round_trips(repository: Repository, proxy: Proxy, layout: OciLayout, tmp_path: Path) -> None:
    """Uploads are opened while the target is asked for the image; digest and tags are set concurrently.

    The first push to a registry sets the tag last.
    """
    push(make_image(layout, 10), layout, repository, tags=["tag"], cache=tmp_path)
    assert proxy.seen[-1].endswith("/manifests/tag")
    together = {"HEAD": threading.Barrier(3), "PUT": threading.Barrier(2), "manifests": threading.Barrier(3)}
    proxy.seen.clear()

    def meet(method: str, path: str, _number: int) -> None:
        # A request that isn't concurrent with the others waits in vain, and the push fails.
        step = "manifests" if method == "PUT" and "/manifests/" in path else method.replace("POST", "HEAD")
        together[step].wait(timeout=60)

    proxy.choose = meet
    prepare_uploads(repository, layout, FINGERPRINT, tmp_path)
    assert find_image(repository, FINGERPRINT) is None
    image = make_image(layout, 20)
    manifest = json.loads(layout.blob_path(image.digest).read_bytes())
    with ThreadPoolExecutor() as pool:
        for blob in (manifest["config"], *manifest["layers"]):
            descriptor = Descriptor(blob["mediaType"], blob["digest"], blob["size"])
            pool.submit(repository.upload_blob, descriptor, partial(layout.open_blob, blob["digest"]))
    repository.put_manifest(layout.blob_path(image.digest).read_bytes(), OCI.manifest, ["a", "b"], concurrently=True)

    assert sorted(request.split()[0] for request in proxy.seen) == ["HEAD"] + ["POST"] * 2 + ["PUT"] * 5


def test_unused_uploads_are_cancelled(repository: Repository, proxy: Proxy, layout: OciLayout, tmp_path: Path) -> None:
    """Another machine had pushed the image; nothing is opened for a target without a push, or a known image."""
    prepare_uploads(repository, layout, FINGERPRINT, tmp_path)
    assert proxy.seen == []
    push(make_image(layout, 10), layout, repository, tags=[image_tag(FINGERPRINT)], cache=tmp_path)
    proxy.seen.clear()
    cancelled = threading.Semaphore(0)
    proxy.choose = lambda method, *_: cancelled.release() if method == "DELETE" else None
    prepare_uploads(repository, layout, FINGERPRINT, tmp_path)
    assert find_image(repository, FINGERPRINT) is not None
    repository.discard_uploads()

    assert cancelled.acquire(timeout=60)
    assert cancelled.acquire(timeout=60)
    layout.put_manifest(b"{}", OCI.manifest, [image_tag(FINGERPRINT)])
    proxy.seen.clear()
    prepare_uploads(repository, layout, FINGERPRINT, tmp_path)
    assert proxy.seen == []
