"""Builds an image without an engine: layers from wheels and files, a config, a manifest.

    base (stays where it is) | environment | wheels, the big ones alone | data and code in buckets | folders

Every layer is a function of what it holds, so what didn't change is neither made nor sent again.
"""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ..core.errors import BaseImageError, ImageError
from .base.inspect import BaseContents
from .base.resolve import Base
from .code import buckets, previous_image
from .code.code_layers import CodeLayers
from .code.state import CodeState
from .layers.layer_writer import Layer
from .layers.venv_layer import write_environment
from .oci.config import DOCKER, OCI, PREFIX, MediaTypes, blob_descriptor, image_config, image_manifest, layer_descriptor
from .oci.content_tag import image_tag
from .oci.image_types import BuiltImage, ImageRequest, LayerReport, Progress
from .oci.layout import OciLayout
from .oci.target import ImageTarget
from .pipeline.background_uploads import BackgroundUploads
from .pipeline.layer_builder import LayerBuilder
from .pipeline.task_group import TaskGroup
from .wheels.dependency_layers import DependencyLayers, LayersRemoved
from .wheels.dependency_set import MAX_OWN_LAYERS

MAX_LAYERS = 125
"""Docker's overlay2 mounts 128 folders at most, and keeps some for itself."""

_FIXED = buckets.MAX_LAYERS + 3  # the environment, the small wheels, the folders


def build(
    request: ImageRequest,
    store: OciLayout,
    *,
    cache: Path,
    base: Base | None = None,
    upload_to: ImageTarget | None = None,
    progress: Progress | None = None,
    workers: int = 2,
) -> BuiltImage:
    """Builds the image of `request` into `store`, under the tag of its fingerprint.

    Afterwards the store holds the manifest, the config and every layer but the base's, and those dependency layers that
    `upload_to` had already. If it fails nothing is tagged, and whatever was finished is reused by the next build.

    Args:
        request: What goes into the image.
        store: This machine's image layout.
        cache: A folder that builds share, also at the same time.
        base: What `request.base` resolves to.
        upload_to: Where the image will be pushed: each layer made now is sent while others are still made, but no
            manifest. Pushing is a step of its own.
        progress: Hears of each layer.
        workers: Threads that compute at a time; bytes don't depend on it.

    Raises:
        WheelError: A dependency can't be had or can't become a layer.
        BaseImageError: The base has another Python, or too many layers.
        ImageError: A file of the project can't be read or has an impossible name.
        RegistryError: `upload_to` refused.
        StorageError: The disk is full.
    """
    alone = _check(request, base)
    once = partial(_build, request, store, cache, base, alone=alone, to=upload_to, progress=progress, workers=workers)
    try:
        return once()
    except LayersRemoved:
        return once()


def _build(
    request: ImageRequest,
    store: OciLayout,
    cache: Path,
    base: Base | None,
    *,
    alone: int,
    to: ImageTarget | None,
    progress: Progress | None,
    workers: int,
) -> BuiltImage:
    # Taken before any file is looked at: what is touched later than this looks touched to the next build.
    now = time.time_ns()
    with TaskGroup() as tasks:
        uploads = BackgroundUploads(tasks, store, to, cache) if to else None
        folder = cache / "layers"
        builder = LayerBuilder(tasks, store, uploads, folder / "scratch", progress=progress, workers=workers)
        contents = tasks.make(lambda: _check_contents(request, base)) if base else None
        if base:
            builder.copy_base(base)
        dependencies = tasks.make(DependencyLayers(builder, folder, request, alone).resolve)
        code = CodeLayers(builder, CodeState(folder / "code", request.root), buckets.split(request.files, now)).start()
        folders = _folders(builder, request)
        inside = contents.result() if contents else None
        environment = _environment(builder, request, inside)
        found = dependencies.result()
        layers = [
            *environment,
            *(layer for _, layer in found.layers),
            *code.result(),
            *folders,
        ]
        return _assemble(builder, request, base, layers, found.lock)


def _check(request: ImageRequest, base: Base | None) -> int:
    """Refuses what can't work; returns how many wheels can have a layer of their own."""
    if not any(file.path == request.script for file in request.files):
        raise ImageError(
            f"{request.script} isn't among the files of the image",
            where=request.root,
            next_step="Name the script that trains in [tool.vertex-training], and don't ignore it",
        )
    if base is None:
        assert request.base is None, "the base has to be resolved first"
        return MAX_OWN_LAYERS
    alone = min(MAX_OWN_LAYERS, MAX_LAYERS - _FIXED - len(base.layers))
    if alone < 1:
        raise BaseImageError(
            f"the base has {len(base.layers)} layers, too many to add to",
            where=request.base,
            next_step="Choose another base, or squash it",
        )
    return alone


def _check_contents(request: ImageRequest, base: Base) -> BaseContents:
    """What is in the base, read beside all else; wheels for another Python are no use."""
    inside = base.contents
    if inside.python_version != request.python:
        raise BaseImageError(
            f"the base has Python {inside.python_version}, and the dependencies are frozen for {request.python}",
            where=request.base,
            next_step="Set base or python in [tool.vertex-training] so that they agree",
        )
    return inside


def _environment(builder: LayerBuilder, request: ImageRequest, inside: BaseContents | None) -> list[Layer]:
    if inside is None:
        return []  # local_vertex makes it of the Python it runs with
    return [builder.make_small(lambda out: write_environment(out, inside.python, request.python))]


def _folders(builder: LayerBuilder, request: ImageRequest) -> list[Layer]:
    if not request.directories:
        return []
    return [builder.make_small(lambda out: buckets.write_directories(out, request.directories))]


def _assemble(
    builder: LayerBuilder, request: ImageRequest, base: Base | None, layers: Sequence[Layer], lock: str
) -> BuiltImage:
    """Writes config and, when all else is where it belongs, the manifest, unless the store has them."""
    types = _media_types(base)
    labels = _labels(request, base, lock)
    of_base = base.contents.config if base else {}
    config = image_config(layers, of_base, script=request.script, env=request.env, labels=labels)
    config_descriptor = blob_descriptor(types.config, config)
    base_layers = base.layers if base else []
    own = [layer_descriptor(types, layer) for layer in layers]
    manifest = image_manifest(types, config_descriptor, base_layers, own, labels)
    descriptor = blob_descriptor(types.manifest, manifest)
    tag = image_tag(request.fingerprint)
    known = builder.store.head_manifest(tag)
    is_new = known is None or known.digest != descriptor.digest
    if is_new:
        builder.store.put_blob(config_descriptor, lambda: io.BytesIO(config))
        if builder.uploads:
            builder.uploads.send_bytes(config_descriptor, config)
    builder.wait()
    if is_new:
        builder.store.put_manifest(manifest, types.manifest, [tag])
    reports = {layer.digest: LayerReport("base", layer.digest, layer.size, "reused", 0.0) for layer in base_layers}
    reports |= builder.reports
    return BuiltImage(
        reference=builder.store.reference(descriptor.digest),
        digest=descriptor.digest,
        media_type=types.manifest,
        size=sum(layer.size for layer in (*base_layers, *layers)),
        layers=[reports[layer.digest] for layer in (*base_layers, *layers)],
    )


def _labels(request: ImageRequest, base: Base | None, lock: str) -> dict[str, str]:
    labels = {
        **request.labels,
        f"{PREFIX}.python": request.python,
        f"{PREFIX}.lock": lock,
        previous_image.LABEL: buckets.FORMAT,
        f"{PREFIX}.base": base.digest if base else "none",
    }
    if base:
        labels["org.opencontainers.image.base.digest"] = base.digest
    if request.fingerprint:
        labels[f"{PREFIX}.fingerprint"] = request.fingerprint
    return labels


def _media_types(base: Base | None) -> MediaTypes:
    return DOCKER if base and base.docker else OCI
