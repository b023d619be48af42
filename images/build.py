"""Builds an image without a container engine: layers from wheels and files, a config, and a manifest.

The layers, lowest first:

    base (not copied here) | environment | big wheels, one each | small wheels | code and data in buckets | folders

A project that uses a feature of the runtime has its layer above the environment.

A layer depends on its contents only, so layers that didn't change are neither made nor sent again.
"""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ..core.errors import BaseImageError, ImageError
from ..core.metering.meter import UPLOADING, Meters
from .base.inspect import BaseContents, other_user
from .base.interpreter_search import environment
from .base.resolve import Base
from .code import buckets, previous_image
from .code.code_layers import CodeLayers
from .code.state import CodeState
from .layers import image_paths
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
from .runtime_layer import launcher, write_runtime
from .wheels.dependency_layers import DependencyLayers, LayersRemoved
from .wheels.dependency_set import MAX_OWN_LAYERS

MAX_LAYERS = 125
"""The number of layers that engines can mount: Docker's overlay2 driver allows 128 folders, and needs some itself."""

_LONGEST_LINK = 100
_FIXED = buckets.MAX_LAYERS + 3  # the environment, the small wheels, the folders


def build(
    request: ImageRequest,
    store: OciLayout,
    *,
    cache: Path,
    base: Base | None = None,
    upload_to: ImageTarget | None = None,
    progress: Progress | None = None,
    meters: Meters | None = None,
    workers: int = 2,
) -> BuiltImage:
    """Builds the image of `request` into `store`, with its content tag.

    Afterwards the layout has the manifest, the config, and all layers except the base's and those dependency layers
    that `upload_to` already had. After a failure nothing is tagged, and the next build reuses the finished layers.

    Args:
        request: The contents of the image.
        store: This machine's image layout.
        cache: A folder that concurrent builds can share.
        base: The resolved `request.base`.
        upload_to: The target that the image will be pushed to. New layers are sent there while others are still
            made; the manifest is left to the push.
        progress: Called with the report of each layer.
        meters: Where the bytes of downloads, layers and uploads are counted.
        workers: How many threads compute at a time; the image doesn't depend on it.

    Raises:
        WheelError: A dependency can't be downloaded, or can't become a layer.
        BaseImageError: The base has another Python, or too many layers.
        ImageError: A file of the project can't be read, or has a name that a layer can't have.
        RegistryError: `upload_to` refused.
        StorageError: The disk is full.
    """
    own_layers = _check(request, base)
    attempt = partial(
        _build,
        request,
        store,
        cache,
        base,
        own_layers=own_layers,
        to=upload_to,
        progress=progress,
        meters=meters or Meters(),
        workers=workers,
    )
    try:
        return attempt()
    except LayersRemoved:
        return attempt()


def _build(
    request: ImageRequest,
    store: OciLayout,
    cache: Path,
    base: Base | None,
    *,
    own_layers: int,
    to: ImageTarget | None,
    progress: Progress | None,
    meters: Meters,
    workers: int,
) -> BuiltImage:
    # The time before any file is read: the next build compares files that were touched later.
    now = time.time_ns()
    with TaskGroup() as tasks:
        uploads = BackgroundUploads(tasks, store, to, cache, meters[UPLOADING]) if to else None
        folder = cache / "layers"
        builder = LayerBuilder(
            tasks, store, uploads, folder / "scratch", progress=progress, meters=meters, workers=workers
        )
        contents = tasks.make(lambda: _check_contents(request, base)) if base else None
        if base:
            builder.copy_base(base)
        dependency_layers = DependencyLayers(builder, folder, request, own_layers)
        dependencies = tasks.make(dependency_layers.resolve)
        code = CodeLayers(builder, CodeState(folder / "code", request.root), buckets.split(request.files, now)).start()
        folders = _folders(builder, request, base)
        found_contents = contents.result() if contents else None
        environment = _environment(builder, request, found_contents)
        runtime = [builder.make_small(write_runtime)] if request.runtime_features else []
        found = dependencies.result()
        layers = [
            *environment,
            *runtime,
            *(layer for _, layer in found.layers),
            *code.result(),
            *folders,
        ]
        image = _assemble(builder, request, base, layers, found.lock)
    if dependency_layers.were_made:
        store.prune()  # after the manifest is listed, so that nothing of this image counts as unused
    return image


def _check(request: ImageRequest, base: Base | None) -> int:
    """Checks the request; returns how many wheels can have a layer of their own."""
    if request.script and not any(file.path == request.script for file in request.files):
        raise ImageError(
            f"{request.script} isn't among the files of the image",
            where=request.root,
            next_step="Name the script that trains in [tool.vertex-training], and don't ignore it",
        )
    if base is None:
        assert request.base is None, "the base has to be resolved first"
        return MAX_OWN_LAYERS
    own_layers = min(MAX_OWN_LAYERS, MAX_LAYERS - _FIXED - bool(request.runtime_features) - len(base.layers))
    if own_layers < 1:
        raise BaseImageError(
            f"the base has {len(base.layers)} layers, too many to add to",
            where=request.base,
            next_step="Choose another base, or squash it",
        )
    return own_layers


def _check_contents(request: ImageRequest, base: Base) -> BaseContents:
    """Reads the base's contents and checks that its Python is the one of the wheels."""
    contents = base.contents
    if len(contents.python) > _LONGEST_LINK or not contents.python.isascii():
        raise BaseImageError(
            f"the base's Python is at {contents.python!r}, and {_LONGEST_LINK} plain characters fit into a link",
            where=request.base,
            next_step="Name a base whose Python has a shorter path",
        )
    for place in (image_paths.APP, image_paths.OWN):
        if contents.python.startswith(f"{place}/"):
            raise BaseImageError(
                f"the base's Python is at {contents.python}, and what a base has in {place} is replaced",
                where=request.base,
                next_step="Name a base whose Python is in another folder, or write a Dockerfile",
            )
    if contents.python_version != request.python:
        raise BaseImageError(
            f"the base has Python {contents.python_version}, and the dependencies are frozen for {request.python}",
            where=request.base,
            next_step="Set base or python in [tool.vertex-training] so that they agree",
        )
    return contents


def _environment(builder: LayerBuilder, request: ImageRequest, contents: BaseContents | None) -> list[Layer]:
    if contents is None:
        return []  # local_vertex creates it with its own Python
    path = environment(contents.config.get("config") or {}).get("PYTHONPATH", "")
    folders = [folder for folder in path.split(":") if folder.startswith("/")]
    environments = [folder for folder in contents.packages if not folder.startswith(f"{image_paths.OWN}/")]
    write = partial(
        write_environment,
        interpreter=contents.python,
        python=request.python,
        environments=environments,
        folders=folders,
    )
    return [builder.make_small(write)]


def _folders(builder: LayerBuilder, request: ImageRequest, base: Base | None) -> list[Layer]:
    """The folders that the project asks for; where the base isn't run by root, all of its folders become writable."""
    shared = buckets.folders_of(request.files) if base and other_user(base.config) else []
    if not request.directories and not shared:
        return []
    return [builder.make_small(partial(buckets.write_directories, directories=request.directories, shared=shared))]


def _assemble(
    builder: LayerBuilder, request: ImageRequest, base: Base | None, layers: Sequence[Layer], lock: str
) -> BuiltImage:
    """Stores the config and, after all layers, the manifest, unless the layout has them."""
    types = _media_types(base)
    labels = _labels(request, base, lock)
    base_config = base.config if base else {}
    config = image_config(
        layers,
        base_config,
        script=request.script,
        entry=request.entry,
        launcher=launcher(image_paths.INTERPRETER) if request.runtime_features else (),
        env=request.env,
        labels=labels,
    )
    config_descriptor = blob_descriptor(types.config, config)
    base_layers = base.layers if base else []
    own = [layer_descriptor(types, layer) for layer in layers]
    manifest = image_manifest(types, config_descriptor, base_layers, own, labels)
    descriptor = blob_descriptor(types.manifest, manifest)
    tag = image_tag(request.fingerprint)
    known = builder.store.head_manifest(tag)
    is_new = known is None or known.digest != descriptor.digest
    builder.store.put_blob(config_descriptor, lambda: io.BytesIO(config))
    if builder.uploads:
        builder.uploads.send_bytes(config_descriptor, config)
    builder.wait()
    if is_new:
        builder.store.put_manifest(manifest, types.manifest, [tag])
    builder.store.save_records()
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
