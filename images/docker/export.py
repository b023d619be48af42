"""Copies an image from a Docker engine into this machine's image layout, through `docker save`.

The archive: a `manifest.json`, a config, and each layer as an uncompressed tar
(https://github.com/moby/docker-image-spec/blob/main/spec.md#combined-image-json--filesystem-changeset-format).
Engines since version 25 name its files by hash; older ones have a folder for each layer, and links for equal layers.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import posixpath
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from zlib_ng import zlib_ng

from ...core.errors import DockerError, storage_errors
from ...core.integrity.sealed_json import read_sealed, write_sealed
from ...core.metering.meter import CountedReader, Meters
from ..layers.compression import PORTABLE
from ..layers.layer_writer import CHUNK, Layer
from ..oci.config import OCI, blob_descriptor, image_manifest, layer_descriptor
from ..oci.image_types import BuiltImage, LayerReport
from ..oci.layout import OciLayout
from .docker_push import layer_titles
from .engine_errors import engine_errors

if TYPE_CHECKING:
    from docker import DockerClient

COPYING = "copying from Docker"
_SMALL = 1 << 20
_GZIP = 31  # zlib's parameter for a gzip header, without name and time


def export(
    image: BuiltImage,
    *,
    engine: DockerClient,
    layout: OciLayout,
    tags: Sequence[str],
    cache: Path,
    log: Callable[[str], None],
    meters: Meters | None = None,
) -> BuiltImage:
    """Copies the image into the layout; its config, and so its id in the engine, stays the same.

    Args:
        image: The result of `docker_build.build` with the same engine.
        engine: The engine that has the image.
        layout: The layout that it goes to.
        tags: The image's tags.
        cache: Folder of records of the layers in the layout, which needn't be compressed again.
        log: Called with a line for each layer.
        meters: Where the bytes that the engine gives are counted.

    Raises:
        DockerError: No engine answers, or it no longer has the image.
        StorageError: The disk is full.
    """
    archive = _Archive(layout, cache / "docker-layers")
    with (
        (meters or Meters())[COPYING].item(image.size) as counted,
        engine_errors("to give the image"),
        engine.api.get(
            f"{engine.api.base_url}/v{engine.api.api_version}/images/{image.digest}/get", stream=True, timeout=None
        ) as response,
    ):
        if not response.ok:
            raise DockerError(
                "the engine no longer has the image",
                where=image.reference,
                next_step="Run again: it will be built again",
            )
        try:
            archive.read(cast("IO[bytes]", CountedReader(cast("BinaryIO", response.raw), counted.add)))
        except tarfile.TarError as error:
            raise DockerError(
                f"the engine's archive of the image was cut off: {error}",
                where=image.reference,
                next_step="Run again; if it happens again, look at the engine's log",
                transient=True,
            ) from error
    config, layers = archive.result()
    reports = []
    for title, layer in zip(layer_titles(json.loads(config)), layers, strict=True):
        seconds = archive.made.get(layer.digest)
        action = "reused" if seconds is None else "built"
        reports.append(LayerReport(title, layer.digest, layer.size, action, seconds or 0.0))
    for report in reports:
        log(f"{report.action}: {report.title} ({report.size:,} bytes)")
    config_descriptor = blob_descriptor(OCI.config, config)
    layout.put_blob(config_descriptor, lambda: io.BytesIO(config))
    data = image_manifest(OCI, config_descriptor, [], [layer_descriptor(OCI, layer) for layer in layers], {})
    manifest = layout.put_manifest(data, OCI.manifest, tags)
    size = sum(layer.size for layer in layers)
    return BuiltImage(layout.reference(manifest.digest), manifest.digest, manifest.media_type, size, reports, "docker")


class _Archive:
    """Reads the archive in one pass; its last file says what the others are.

    Attributes:
        made: The seconds that compressing a layer took, by digest; reused layers are left out.
    """

    def __init__(self, layout: OciLayout, records: Path) -> None:
        self._layout = layout
        self._records = records
        self._small: dict[str, bytes] = {}
        self._layers: dict[str, Layer] = {}
        self._links: dict[str, str] = {}
        self.made: dict[str, float] = {}

    def read(self, stream: IO[bytes]) -> None:
        """Reads the archive's files; layers are stored in the layout.

        Raises:
            TarError: The archive is incomplete.
            StorageError: The disk is full.
        """
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                body = archive.extractfile(member) if member.isreg() else None
                if member.issym() or member.islnk():
                    folder = posixpath.dirname(member.name) if member.issym() else ""
                    self._links[member.name] = posixpath.normpath(posixpath.join(folder, member.linkname))
                elif body is None:
                    continue
                elif member.size < _SMALL and not member.name.endswith("layer.tar"):
                    self._small[member.name] = body.read()
                else:
                    self._layers[member.name] = self._known(member) or self._compress(member, body)
        if "manifest.json" not in self._small:  # an archive that is cut between two files looks complete
            raise tarfile.ReadError("it has no manifest")

    def result(self) -> tuple[bytes, list[Layer]]:
        """The config's bytes and the layers in order, checked against the config."""
        names = json.loads(self._small["manifest.json"])[0]
        config = self._small[names["Config"]]
        layers = [self._layer(name) for name in names["Layers"]]
        if [layer.diff_id for layer in layers] != json.loads(config)["rootfs"]["diff_ids"]:
            raise DockerError(
                "the engine sent other layers than the image has", where=names["Config"], next_step="Run again"
            )
        return config, layers

    def _layer(self, name: str) -> Layer:
        name = self._links.get(name, name)
        if name not in self._layers:  # a small layer in the newer format: names don't show what a file is
            data = self._small[name]
            member = tarfile.TarInfo(name)
            member.size = len(data)
            self._layers[name] = self._compress(member, io.BytesIO(data))
        return self._layers[name]

    def _record(self, member: tarfile.TarInfo) -> Path:
        # In both formats a name identifies a layer and all layers below it.
        key = hashlib.sha256(f"{PORTABLE} {member.name} {member.size}".encode()).hexdigest()
        return self._records / f"{key}.json"

    def _known(self, member: tarfile.TarInfo) -> Layer | None:
        try:
            found = read_sealed(self._record(member))
            layer = Layer(**found) if found else None
        except TypeError:  # of another version
            return None
        return layer if layer and self._layout.has_blob(layer.digest) else None

    def _compress(self, member: tarfile.TarInfo, body: IO[bytes]) -> Layer:
        started = time.monotonic()
        compressor = zlib_ng.compressobj(1, zlib_ng.DEFLATED, _GZIP)
        diff_id, digest, size = hashlib.sha256(), hashlib.sha256(), 0
        # In the layout's folder, so that a full disk is reported for the layout.
        with storage_errors(self._layout.folder), tempfile.TemporaryFile(dir=_created(self._layout.folder)) as file:
            while data := body.read(CHUNK):
                diff_id.update(data)
                size += _write(file, digest.update, compressor.compress(data))
            size += _write(file, digest.update, compressor.flush())
            layer = Layer("", f"sha256:{digest.hexdigest()}", f"sha256:{diff_id.hexdigest()}", size)
            self._layout.put_blob(layer_descriptor(OCI, layer), lambda: _reopened(file))
        write_sealed(self._record(member), asdict(layer))
        self.made[layer.digest] = time.monotonic() - started
        return layer


def _created(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write(file: IO[bytes], tee: Callable[[bytes], object], data: bytes) -> int:
    tee(data)
    return file.write(data)


def _reopened(file: IO[bytes]) -> BinaryIO:
    """A second handle to the file, at its beginning, for a reader that closes it."""
    file.flush()
    other = os.fdopen(os.dup(file.fileno()), "rb")
    other.seek(0)
    return other
