"""The config and manifest documents of an image, as pure functions of their contents.

https://github.com/opencontainers/image-spec/blob/main/config.md and manifest.md beside it. Docker's formats have the
same fields under other media types. An image has the media types of its base, because tools refuse a mixture.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ...core.errors import ImageError
from ..layers import image_paths
from ..layers.layer_writer import Layer
from .image_types import Descriptor

PREFIX = "org.prefect-vertex-training"
DIFF_ID = f"{PREFIX}.diff-id"
KEY = f"{PREFIX}.key"
TITLE = "org.opencontainers.image.title"


@dataclass(frozen=True, slots=True)
class MediaTypes:
    """The media types of OCI's or Docker's format."""

    manifest: str
    config: str
    layer: str


OCI = MediaTypes(
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.oci.image.layer.v1.tar+gzip",
)
DOCKER = MediaTypes(
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
)

# The base's command is replaced, and its health check was for that. Its triggers are for Dockerfiles. The other two are
# Docker's records of how the base was built.
_NOT_INHERITED = frozenset(("Cmd", "Entrypoint", "Healthcheck", "OnBuild", "ArgsEscaped", "Image"))
_PYTHON_VARIABLES = frozenset(("PYTHONHOME", "PYTHONPATH", "PYTHONPLATLIBDIR", "PYTHONSAFEPATH", "PYTHONINSPECT"))
"""Variables of a base that would bring its packages before those of the lock (the environment adds their folders), hide
the modules beside the script, or let a script that failed exit with 0."""


def created() -> str:
    """The creation time in images: SOURCE_DATE_EPOCH or 1970, so that equal contents give equal digests."""
    text = os.environ.get("SOURCE_DATE_EPOCH") or "0"
    try:
        moment = datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise ImageError(
            f"SOURCE_DATE_EPOCH is {text!r}", where="environment", next_step="Give it seconds since 1970, or unset it"
        ) from error
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def image_config(
    layers: Sequence[Layer],
    base: Mapping[str, Any],
    *,
    script: str = "",
    entry: Sequence[str] = (),
    launcher: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> bytes:
    """The config document of an image.

    Args:
        layers: The layers above the base.
        base: The base's config; empty for an image without a base.
        script: The script that the image runs, relative to the project; empty for none.
        entry: The words of the entry point in place of the script, `python` for the interpreter.
        launcher: The words before those that start the script.
        env: Added to the base's environment.
        labels: Added to the base's labels.
    """
    inherited: Mapping[str, Any] = base.get("config") or {}
    config = {key: value for key, value in inherited.items() if key not in _NOT_INHERITED}
    if entry:
        config["Entrypoint"] = [*launcher, image_paths.INTERPRETER if entry[0] == "python" else entry[0], *entry[1:]]
    elif script:
        config["Entrypoint"] = [*launcher, image_paths.INTERPRETER, f"{image_paths.APP}/{script}"]
    config["WorkingDir"] = image_paths.APP
    if volumes := {path: value for path, value in (inherited.get("Volumes") or {}).items() if not _is_ours(path)}:
        config["Volumes"] = volumes
    else:
        config.pop("Volumes", None)
    config["Env"] = _environment(inherited.get("Env") or [], env or {})
    config["Labels"] = dict(sorted({**(inherited.get("Labels") or {}), **(labels or {})}.items()))
    time = created()
    history = [{"created": time, "created_by": f"prefect-vertex-training: {layer.title}"} for layer in layers]
    document: dict[str, Any] = {
        "created": time,
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {
            "type": "layers",
            "diff_ids": [*_base_diff_ids(base), *(layer.diff_id for layer in layers)],
        },
        "history": [*(base.get("history") or _minimal_history(base)), *history],
    }
    return _json(document)


def image_manifest(
    types: MediaTypes,
    config: Descriptor,
    base_layers: Sequence[Descriptor],
    layers: Sequence[Descriptor],
    annotations: Mapping[str, str],
) -> bytes:
    """The manifest document, with annotations only in OCI's format, which has them."""
    with_annotations = types is OCI
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": types.manifest,
        "config": _descriptor(config, with_annotations),
        "layers": [_descriptor(layer, with_annotations) for layer in (*base_layers, *layers)],
    }
    if with_annotations and annotations:
        document["annotations"] = dict(sorted(annotations.items()))
    return _json(document)


def blob_descriptor(media_type: str, data: bytes) -> Descriptor:
    """The descriptor of a blob with these bytes."""
    return Descriptor(media_type, f"sha256:{hashlib.sha256(data).hexdigest()}", len(data))


def layer_descriptor(types: MediaTypes, layer: Layer, key: str = "") -> Descriptor:
    """The descriptor of a layer; with a `key`, another machine can reuse the layer without downloading it."""
    annotations = {TITLE: layer.title, DIFF_ID: layer.diff_id}
    if key:
        annotations[KEY] = key
    return Descriptor(types.layer, layer.digest, layer.size, annotations)


def _descriptor(descriptor: Descriptor, with_annotations: bool) -> dict[str, Any]:
    document: dict[str, Any] = {
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    }
    if with_annotations and descriptor.annotations:
        document["annotations"] = dict(sorted(descriptor.annotations.items()))
    return document


def _environment(inherited: Sequence[str], own: Mapping[str, str]) -> list[str]:
    env: dict[str, str] = {}
    for item in inherited:
        name, _, value = item.partition("=")
        if name not in _PYTHON_VARIABLES:
            env[name] = value
    path = env.get("PATH") or "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    env["PATH"] = f"{image_paths.VENV}/bin:{path}"
    env["VIRTUAL_ENV"] = image_paths.VENV
    env["PYTHONUNBUFFERED"] = "1"  # the last lines of a job that ends abruptly must not get lost
    env.update(sorted(own.items()))
    return [f"{name}={value}" for name, value in env.items()]


def _is_ours(path: str) -> bool:
    """Whether a volume would hide, or be, one of our places."""
    volume = f"/{path.strip('/')}/".replace("//", "/")
    return any(
        f"{own}/".startswith(volume) or volume.startswith(f"{own}/") for own in (image_paths.APP, image_paths.OWN)
    )


def _base_diff_ids(base: Mapping[str, Any]) -> list[str]:
    return list((base.get("rootfs") or {}).get("diff_ids") or [])


def _minimal_history(base: Mapping[str, Any]) -> list[dict[str, str]]:
    """A history entry for each layer: tools compare the number of entries with the number of layers."""
    return [{"created_by": "base"} for _ in _base_diff_ids(base)]


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
