"""Reads manifests, indexes and configs: limited in size, and checked before they are used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

from ...core.errors import RegistryError
from ...core.security.parsed_text import parse_json
from .config import DOCKER, OCI
from .image_types import Descriptor
from .reference import DIGEST

MANIFEST_LIMIT = 4 * 1024 * 1024
"""Bytes of a manifest or index that every registry takes, and no registry has to take more:
https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests."""

CONFIG_LIMIT = 8 * 1024 * 1024
"""Bytes of a config; the history of a base with hundreds of steps reaches a tenth of it."""

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_VARIANTS = ("", "v1", "v2", "v3", "v4")
_ATTESTATION = "vnd.docker.reference.type"


def parse_object(data: bytes, what: str, where: object) -> dict[str, Any]:
    """A JSON object.

    Args:
        data: The document.
        what: What it is, for messages: "manifest".
        where: Where it is from.

    Raises:
        RegistryError: It is none.
    """
    try:
        found = parse_json(data)
    except (ValueError, RecursionError) as error:
        raise _unusable(what, where, "it isn't JSON") from error
    if not isinstance(found, dict):
        raise _unusable(what, where, "it isn't a JSON object")
    return found


def read_config(body: BinaryIO, where: object) -> dict[str, Any]:
    """The config document of an image, from the open blob, which is closed.

    Raises:
        RegistryError: It is too large, damaged, or no config.
    """
    pieces: list[bytes] = []
    size = 0
    with body:
        while piece := body.read(1 << 20):  # to the end, where the digest is checked
            pieces.append(piece)
            size += len(piece)
            if size > CONFIG_LIMIT:
                raise _unusable("config", where, f"it has more than {CONFIG_LIMIT:,} bytes")
    document = parse_object(b"".join(pieces), "config", where)
    settings = document.get("config")
    if settings is not None and not isinstance(settings, dict):
        raise _unusable("config", where, "`config` isn't an object")
    rootfs = document.get("rootfs")
    if rootfs is not None and not isinstance(rootfs, dict):
        raise _unusable("config", where, "`rootfs` isn't an object")
    document["config"] = _checked_settings(settings or {}, where)
    return document


def _checked_settings(settings: dict[str, Any], where: object) -> dict[str, Any]:
    """The run-time part of a config, in which null means absent."""
    found = {name: value for name, value in settings.items() if value is not None}
    for name in ("Env", "Entrypoint", "Cmd", "Shell", "OnBuild"):
        value = found.get(name, [])
        if not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            raise _unusable("config", where, f"`{name}` isn't a list of texts")
    for name in ("Labels", "Volumes", "ExposedPorts"):
        if not isinstance(found.get(name, {}), dict):
            raise _unusable("config", where, f"`{name}` isn't an object")
    for name in ("User", "WorkingDir"):
        if not isinstance(found.get(name, ""), str):
            raise _unusable("config", where, f"`{name}` isn't a text")
    return found


def manifest_blobs(manifest: Mapping[str, Any], where: object) -> tuple[Descriptor, list[Descriptor]]:
    """The config and the layers that a manifest names.

    Raises:
        RegistryError: It isn't a manifest of an image.
    """
    layers = manifest.get("layers")
    if not isinstance(layers, list):
        raise _unusable("manifest", where, "it has no list of layers")
    return descriptor(manifest.get("config"), where), [descriptor(layer, where) for layer in layers]


def descriptor(value: object, where: object) -> Descriptor:
    """The descriptor of a blob or manifest.

    Raises:
        RegistryError: A field is missing or has a wrong form.
    """
    if not isinstance(value, dict):
        raise _unusable("manifest", where, "a part of it has no descriptor")
    media_type, digest, size = value.get("mediaType"), value.get("digest"), value.get("size")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise _unusable("manifest", where, f"{str(digest)[:80]!r} is no digest")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 50:
        raise _unusable("manifest", where, f"{str(size)[:40]!r} is no size")
    annotations = value.get("annotations")
    notes = annotations if isinstance(annotations, dict) else {}
    return Descriptor(media_type if isinstance(media_type, str) else "", digest, size, notes)


def is_index(manifest: Mapping[str, Any], media_type: str = "") -> bool:
    """Whether a document is an index of manifests: by its own media type, else the answer's, else its content."""
    named = manifest.get("mediaType") or media_type
    return named in INDEXES or (named not in (OCI.manifest, DOCKER.manifest) and "manifests" in manifest)


def amd64_candidates(index: Mapping[str, Any], where: object) -> tuple[list[Descriptor], list[str]]:
    """The manifests of an index that may be for linux/amd64, the most widely usable first, and all its platforms.

    Attestations are left out. Entries without a platform come last: their configs have to be looked at.

    Raises:
        RegistryError: It isn't an index.
    """
    entries = index.get("manifests")
    if not isinstance(entries, list):
        raise _unusable("index", where, "it has no list of manifests")
    ranked: list[tuple[int, Descriptor]] = []
    platforms: list[str] = []
    for entry in entries:
        found = descriptor(entry, where)
        platform = entry.get("platform")
        if _ATTESTATION in found.annotations:
            continue
        if not isinstance(platform, dict) or not platform.get("architecture"):
            ranked.append((len(_VARIANTS), found))
            continue
        system, machine, variant = (str(platform.get(name) or "") for name in ("os", "architecture", "variant"))
        if (system, machine) == ("linux", "amd64") and variant in _VARIANTS:
            ranked.append((_VARIANTS.index(variant), found))
        elif (system, machine) != ("unknown", "unknown"):
            platforms.append(f"{system or '?'}/{machine or '?'}")
    ranked.sort(key=lambda item: item[0])
    return [found for _, found in ranked], sorted(set(platforms))


def _unusable(what: str, where: object, problem: str) -> RegistryError:
    return RegistryError(
        f"the {what} can't be used: {problem}",
        where=where,
        next_step="Check the image's name, and push the image again",
    )
