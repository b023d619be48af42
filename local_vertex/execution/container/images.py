"""Gets a job's image into a Docker engine: pulled from a registry by digest, or loaded from an image layout."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ....core.errors import DockerError
from ....images.docker.engine import connect
from ....images.docker.engine_errors import engine_errors
from ....images.oci.layout import OciLayout
from ..replica.image import Image

if TYPE_CHECKING:
    from docker import DockerClient

REPOSITORY = "vertex-training-layout"
"""The engine's repository for images of a layout; the tag is the manifest's digest, so it never moves."""

_CHUNK = 1 << 20


def ensure_image(engine: DockerClient, image: Image) -> str:
    """Makes sure that the engine has the image, and returns its name there. Blocks meanwhile.

    Raises:
        DockerError: The engine can't pull or load it.
        RegistryError: A blob of the layout is missing.
    """
    from docker.errors import ImageNotFound

    if image.engine_id:
        return image.engine_id
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


def engine_image(uri: str) -> Image | None:
    """An image that this machine's engine has, by its name or id; None if it has none for linux/amd64, or no engine."""
    from docker.errors import DockerException

    try:
        engine = connect("to run a local image")
    except DockerError:
        return None
    try:
        with engine_errors("to look for an image"):
            found = engine.api.inspect_image(uri)
    except (DockerError, DockerException):
        return None
    finally:
        engine.close()
    if (found["Os"], found["Architecture"]) != ("linux", "amd64"):
        return None
    source = OciLayout(Path("/nonexistent"), "engine", own=False)
    config = {key: value for key, value in (found.get("Config") or {}).items() if value is not None}
    return Image(uri, source, found["Id"], found["Id"], 0, (), config, found["Id"])


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
    with image.source.open_blob(digest) as blob:
        yield from iter(lambda: blob.read(_CHUNK), b"")


def _member(name: str, size: int, body: Iterator[bytes]) -> Iterator[bytes]:
    header = tarfile.TarInfo(name)
    header.size = size
    yield header.tobuf(tarfile.GNU_FORMAT)
    yield from body
    yield bytes(-size % tarfile.BLOCKSIZE)
