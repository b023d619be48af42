"""Reads a base image's config and finds its Python interpreters, without pulling the image."""

from __future__ import annotations

import json
import posixpath
import re
import tarfile
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

from ...core.errors import BaseImageError, RegistryError
from ..layers.decompression import CorruptData, gunzip
from ..layers.layer_writer import CHUNK
from ..oci.image_types import Descriptor
from ..oci.target import ImageTarget

_INTERPRETER = re.compile(r"(?:\./)?((?:usr/local/|usr/|opt/[^/]+/|root/[^/]+/)?bin)/python(3\.\d+)")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class BaseContents(NamedTuple):
    """What has to be read from a base's blobs: its config, and often a part of its layers.

    Attributes:
        config: The config document.
        python: Absolute path of the interpreter.
        python_version: The interpreter's minor version, as "3.11".
    """

    config: dict[str, Any]
    python: str
    python_version: str


def inspect_base(text: str, source: ImageTarget, found: dict[str, Any], python: str | None) -> dict[str, Any]:
    """Reads the config and the interpreters of a base: `config`, and `pythons` by minor version.

    Args:
        text: The base's reference, for messages.
        source: The registry or layout that has it.
        found: Facts of its manifest: `config_digest` and `layers`.
        python: The minor version to look for; None finds all.

    Raises:
        BaseImageError: The base is for another platform.
        RegistryError: The base can't be read; transient if a retry may help.
    """
    with source.open_blob(found["config_digest"]) as body:
        config: dict[str, Any] = json.loads(body.read())
    platform = f"{config.get('os', 'linux')}/{config.get('architecture', 'amd64')}"
    if platform != "linux/amd64":
        raise wrong_platform(text, platform)
    layers = [Descriptor(**layer) for layer in found["layers"]]
    return {"config": config, "pythons": _pythons(source, layers, config, python)}


def _pythons(
    source: ImageTarget, layers: Iterable[Descriptor], config: dict[str, Any], wanted: str | None
) -> dict[str, str]:
    """Interpreters by minor version: from PYTHON_VERSION, which Docker's official images set, else from the layers.

    Reading stops at the wanted version in a folder of PATH; usr/bin comes early in a layer that is sorted.
    """
    env = dict(item.split("=", 1) for item in config.get("config", {}).get("Env") or [] if "=" in item)
    if match := re.match(r"3\.\d+", env.get("PYTHON_VERSION", "")):
        return {match[0]: f"/usr/local/bin/python{match[0]}"}
    folders = env.get("PATH", _PATH).split(":")
    found: dict[str, list[str]] = {}
    for layer in layers:
        for name in _names(source, layer):
            if match := _INTERPRETER.fullmatch(name):
                found.setdefault(match[2], []).append(f"/{match[1]}/python{match[2]}")
                if match[2] == wanted and f"/{match[1]}" in folders:
                    return {match[2]: f"/{match[1]}/python{match[2]}"}
    return {version: min(paths, key=lambda path: _rank(path, folders)) for version, paths in found.items()}


def _rank(path: str, folders: Sequence[str]) -> int:
    folder = posixpath.dirname(path)
    return folders.index(folder) if folder in folders else len(folders)


def _names(source: ImageTarget, layer: Descriptor) -> Iterable[str]:
    """The names of a layer's entries, read from the stream; nothing is stored."""
    with source.open_blob(layer.digest) as body:
        try:
            zipped = layer.media_type.endswith("gzip")
            stream = gunzip(body) if zipped else body
            with tarfile.open(fileobj=cast("Any", stream), mode="r|" if zipped else "r|*", bufsize=CHUNK) as archive:
                for member in archive:
                    yield member.name
        except (tarfile.TarError, CorruptData) as error:
            raise RegistryError(
                f"a layer of the base can't be read: {error}",
                where=layer.digest,
                next_step="Name another base",
            ) from error


def choose_python(pythons: dict[str, str], python: str | None, text: str) -> tuple[str, str]:
    """The path and minor version of the interpreter: the requested version, or the newest.

    Raises:
        BaseImageError: The base doesn't have it.
    """
    if not pythons:
        raise BaseImageError("the base has no Python", where=text, next_step="Name a base that has one")
    if python is None:
        python = max(pythons, key=lambda version: int(version.partition(".")[2]))
    if python not in pythons:
        raise BaseImageError(
            f"the base has Python {', '.join(sorted(pythons))}, not {python}",
            where=text,
            next_step="Set base or python in [tool.vertex-training] so that they agree",
        )
    return pythons[python], python


def wrong_platform(text: str, platforms: str) -> BaseImageError:
    """The error for a base that Vertex AI can't run."""
    return BaseImageError(
        f"the base is only for {platforms}; Vertex AI runs linux/amd64",
        where=text,
        next_step="Name a base that has a linux/amd64 image",
    )
