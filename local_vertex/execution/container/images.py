"""Images of a Docker engine: those it has, and how it gets a job's, from a registry by digest or from a layout."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ....core.errors import DockerError
from ....images.docker.engine import connect
from ....images.docker.engine_errors import engine_errors
from ..replica.image import EngineImage, Image

if TYPE_CHECKING:
    from docker import DockerClient

REPOSITORY = "vertex-training-layout"
"""The engine's repository for images of a layout; the tag is the manifest's digest, so it never moves."""

_CHUNK = 1 << 20
_LOOKUP_SECONDS = 10


def find_in_engine(uri: str) -> EngineImage | None:
    """The image of a name that the machine's engine has; None without one, or without an engine."""
    from docker.errors import DockerException

    try:
        engine = connect("to look for an image", timeout=_LOOKUP_SECONDS)
    except DockerError:
        return None
    try:
        found = engine.api.inspect_image(uri)
    except (DockerException, OSError):
        return None
    finally:
        engine.close()
    return EngineImage(found["Id"], found.get("Config") or {}, is_local=not found.get("RepoDigests"))


def ensure_image(engine: DockerClient, image: Image) -> str:
    """Makes sure that the engine has the image, and returns its name there. Blocks meanwhile.

    Raises:
        DockerError: The engine can't pull or load it.
        RegistryError: A blob of the layout is missing.
    """
    from docker.errors import ImageNotFound

    if image.source is None:
        return image.config_digest
    from_layout = not image.source.host
    name = (
        f"{REPOSITORY}:{image.digest.removeprefix('sha256:')}" if from_layout else image.source.reference(image.digest)
    )
    with engine_errors(f"the image {image.uri}"):
        try:
            engine.images.get(name)
        except ImageNotFound:
            if from_layout:
                _load(engine, image, name)
            else:
                login = getattr(image.source, "credentials", None)
                engine.images.pull(name, auth_config=login.pair() if login else None)
    return name


def _load(engine: DockerClient, image: Image, name: str) -> None:
    for status in engine.api.load_image(data=_archive(image, name)):
        if "error" in status:
            raise DockerError(
                f"the engine can't load the image: {status['error']}", where=image.uri, next_step="Build it again"
            )


def _archive(image: Image, name: str) -> Iterator[bytes]:
    """An archive that every version of `docker load` reads; the layers may be compressed.

    https://github.com/moby/docker-image-spec/blob/main/spec.md#combined-image-json--filesystem-changeset-format
    """
    config = f"{image.config_digest.removeprefix('sha256:')}.json"
    paths = [f"{number}/layer.tar" for number in range(len(image.layers))]
    manifest = json.dumps([{"Config": config, "RepoTags": [name], "Layers": paths}]).encode()
    yield from _member("manifest.json", len(manifest), iter([manifest]))
    yield from _member(config, image.config_size, _blob(image, image.config_digest))
    for path, layer in zip(paths, image.layers, strict=True):
        yield from _member(path, layer.size, _blob(image, layer.digest))
    yield bytes(2 * tarfile.BLOCKSIZE)


def _blob(image: Image, digest: str) -> Iterator[bytes]:
    with image.blobs.open_blob(digest) as blob:
        yield from iter(lambda: blob.read(_CHUNK), b"")


def _member(name: str, size: int, body: Iterator[bytes]) -> Iterator[bytes]:
    header = tarfile.TarInfo(name)
    header.size = size
    yield header.tobuf(tarfile.GNU_FORMAT)
    yield from body
    yield bytes(-size % tarfile.BLOCKSIZE)
