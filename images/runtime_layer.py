"""The runtime in an image: its layer, the words that start it, and how it is added to an image that exists."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from .. import runtime
from ..core.errors import ImageError
from ..core.security.parsed_text import parse_json
from .layers import image_paths
from .layers.layer_writer import Layer, LayerWriter
from .oci.config import DOCKER, OCI, blob_descriptor, created, layer_descriptor
from .oci.image_types import BuiltImage, LayerReport
from .oci.target import ImageTarget

_TITLE = "runtime"


def launcher(python: str) -> list[str]:
    """The words before those that start the script.

    Args:
        python: Absolute path of a Python in the image. Its option -I hides the project's modules from the
            runtime, and -B writes no bytecode.
    """
    return [python, "-IB", image_paths.RUNTIME, "--"]


def write_runtime(out: BinaryIO) -> Layer:
    """Writes the layer with the runtime's sources, in the order of their names."""
    writer = LayerWriter(out)
    folder = image_paths.RUNTIME.lstrip("/")
    root = Path(runtime.__file__).parent
    for path in sorted(root.rglob("*.py")):
        data = path.read_bytes()
        writer.add_file(f"{folder}/{path.relative_to(root).as_posix()}", len(data), [data], executable=False)
    return writer.finish(_TITLE)


@cache
def runtime_digest() -> str:
    """The diff ID of the layer, which changes with the sources."""
    return write_runtime(io.BytesIO()).diff_id


def add_runtime(
    image: BuiltImage, target: ImageTarget, python: str, tags: Sequence[str], command: Sequence[str] = ()
) -> BuiltImage:
    """Adds the runtime on top of an image that the target has: one more layer, config and manifest; nothing is copied.

    The image's entry point and command stay as they are, as arguments of the runtime, unless `command` replaces both.

    Args:
        image: The image, from any builder.
        target: The registry or layout that has it.
        python: Absolute path of a Python in it.
        tags: Tags of the new image.
        command: The words to start in place of the image's own; a job's command would start without the runtime.

    Raises:
        ImageError: The image is not a single manifest.
        RegistryError: The target refused.
    """
    found = target.get_manifest(image.digest)
    manifest: dict[str, Any] = parse_json(found[1]) if found else {}
    if found is None or "config" not in manifest:
        raise ImageError(
            "the target has no image to add the runtime to", where=image.reference, next_step="Run again to build it"
        )
    types = DOCKER if found[0].media_type == DOCKER.manifest else OCI
    with target.open_blob(manifest["config"]["digest"]) as body:
        document: dict[str, Any] = parse_json(body.read())
    out = io.BytesIO()
    layer = write_runtime(out)
    config = _json(_with_runtime(document, layer, python, command))
    descriptor, layer_blob = blob_descriptor(types.config, config), layer_descriptor(types, layer)
    target.put_blob(layer_blob, lambda: io.BytesIO(out.getvalue()))
    target.put_blob(descriptor, lambda: io.BytesIO(config))
    manifest["config"] = {**manifest["config"], "digest": descriptor.digest, "size": descriptor.size}
    manifest["layers"] = [
        *manifest["layers"],
        {"mediaType": types.layer, "digest": layer.digest, "size": layer.size},
    ]
    published = target.put_manifest(_json(manifest), found[0].media_type, tags)
    return replace(
        image,
        reference=target.reference(published.digest),
        digest=published.digest,
        size=image.size + layer.size,
        layers=[*image.layers, LayerReport(_TITLE, layer.digest, layer.size, "built", 0.0)],
    )


def _with_runtime(document: dict[str, Any], layer: Layer, python: str, command: Sequence[str]) -> dict[str, Any]:
    """The config document with one more layer and the runtime before the entry point."""
    settings: dict[str, Any] = document.get("config") or {}
    entry = [*launcher(python), *(command or settings.get("Entrypoint") or [])]
    settings = {name: value for name, value in settings.items() if not (command and name == "Cmd")}
    rootfs = {**document["rootfs"], "diff_ids": [*document["rootfs"]["diff_ids"], layer.diff_id]}
    changed = {**document, "config": {**settings, "Entrypoint": entry}, "rootfs": rootfs}
    if "history" in document:  # it names all layers or none
        step = {"created": created(), "created_by": f"prefect-vertex-training: {layer.title}"}
        changed["history"] = [*document["history"], step]
    return changed


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
