"""Reads a base image's config and finds its Python, without pulling the image."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from ...core.errors import BaseImageError, RegistryError
from ...core.integrity.sealed_json import read_sealed, write_sealed
from ..layers.decompression import CorruptData, decompressed
from ..oci.documents import read_config
from ..oci.image_types import Descriptor
from ..oci.target import ImageTarget
from .interpreter_search import Interpreter, all_versions, find_interpreter, search_folders
from .layer_listing import Entry, entries
from .merged_layers import MergedLayers, Unknown

_FORMAT = 1
"""Version of the listings; raise it when they hold other entries."""
_DRAIN = 1 << 20


class BaseContents(NamedTuple):
    """What has to be read from a base's blobs: its config, and often a part of its layers.

    Attributes:
        config: The config document.
        python: Absolute path of the interpreter, without links.
        python_version: The interpreter's minor version, as "3.11".
        packages: Folders of the base's own packages that its interpreter doesn't find by itself.
        read: Compressed bytes of layers that were read now to find the interpreter; 0 if it was known.
    """

    config: dict[str, Any]
    python: str
    python_version: str
    packages: Sequence[str] = ()
    read: int = 0

    @property
    def remarks(self) -> list[str]:
        """What a person should know of the base, one sentence each."""
        found: list[str] = []
        if self.read:
            found.append(
                f"{self.read:,} bytes of the base's layers were read, once, to find its Python; "
                f'base-python = "{self.python}" saves that'
            )
        if user := other_user(self.config):
            found.append(
                f"the job runs as the base's user {user}, who may write to the project's folders, the model's folder"
                ' and /tmp; libraries that keep caches at home need one that can be written: env = { HOME = "/tmp" }'
            )
        if triggers := self.config["config"].get("OnBuild"):
            found.append(
                f"the base's {len(triggers)} ONBUILD instructions are not carried out; "
                "write a Dockerfile with FROM if you need them"
            )
        return found


def other_user(config: Mapping[str, Any]) -> str:
    """The user of an image's config, a name or a number; empty for root."""
    user = str((config.get("config") or {}).get("User") or "").partition(":")[0]
    return "" if user in {"0", "root"} else user


class Listings:
    """What was read of layers before, by their digests; shared by all bases.

    Args:
        folder: Where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, digest: str) -> list[Entry] | None:
        """A layer's entries; None if it wasn't read to its end."""
        found = read_sealed(self._path(digest))
        if found is None or found.get("format") != _FORMAT:
            return None
        return [Entry(*entry) for entry in found["entries"]]

    def save(self, digest: str, found: Sequence[Entry]) -> None:
        """Keeps the entries of a layer that was read to its end."""
        write_sealed(self._path(digest), {"format": _FORMAT, "entries": [list(entry) for entry in found]})

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest.removeprefix('sha256:')}.json"


def read_platform(text: str, source: ImageTarget, digest: str) -> dict[str, Any]:
    """The config document of a base.

    Raises:
        BaseImageError: The base is for another platform than linux/amd64.
        RegistryError: It can't be read.
    """
    config = read_config(source.open_blob(digest), text)
    platform = f"{config.get('os') or 'linux'}/{config.get('architecture') or 'amd64'}"
    if platform != "linux/amd64":
        raise wrong_platform(text, platform)
    return config


def inspect_base(
    text: str,
    source: ImageTarget,
    config: dict[str, Any],
    *,
    layers: Sequence[Descriptor],
    python: str | None,
    listings: Listings,
) -> BaseContents:
    """Finds the interpreter in a base's layers, from the highest down until it is certain.

    Args:
        text: The base's reference, for messages.
        source: The registry or layout that has it.
        config: Its config document.
        layers: Its layers, lowest first.
        python: The minor version to look for; None takes the newest, for which all layers are read.
        listings: What is known of layers.

    Raises:
        BaseImageError: The base has no such Python, or one on musl.
        RegistryError: The base can't be read; transient if a retry may help.
    """
    search = _Search(source, listings, search_folders(config["config"]), python)
    for layer in reversed(layers):
        if search.add(layer):
            break
    else:
        search.files.is_complete = True
        search.decide()
    found = search.found or _refuse(search, python, text)
    if found.is_musl:
        raise BaseImageError(
            f"the base's Python {found.version} runs on musl (as Alpine's), for which the frozen wheels aren't made",
            where=text,
            next_step="Name a base with glibc, such as python:3.11-slim, or write a Dockerfile",
        )
    return BaseContents(config, found.path, found.version, found.packages, search.read)


def merged_files(source: ImageTarget, layers: Sequence[Descriptor], listings: Listings) -> MergedLayers:
    """The files of all layers of an image, as far as they can decide where its Python is.

    Args:
        source: The registry or layout that has it.
        layers: Its layers, lowest first.
        listings: What is known of layers.

    Raises:
        RegistryError: A layer can't be read.
    """
    search = _Search(source, listings, (), None)
    for layer in reversed(layers):
        search.add(layer)
    search.files.is_complete = True
    return search.files


class _Search:
    """The search for one interpreter, layer by layer."""

    def __init__(self, source: ImageTarget, listings: Listings, folders: Sequence[str], python: str | None) -> None:
        self.files = MergedLayers()
        self.found: Interpreter | None = None
        self.folders = folders
        self.read = 0
        self._source = source
        self._listings = listings
        self._python = python

    def add(self, layer: Descriptor) -> bool:
        """Reads the next lower layer; returns whether the interpreter is certain now."""
        self.files.start_layer()
        known = self._listings.load(layer.digest)
        if known is not None:
            for entry in known:
                self.files.add(entry)
            return self.decide()
        return self._scan(layer) or self.decide()

    def decide(self) -> bool:
        """Looks for the interpreter in what was read; returns whether it is certain."""
        with contextlib.suppress(Unknown):
            if self._python is not None:
                self.found = find_interpreter(self.files, self.folders, self._python)
            elif self.files.is_complete:
                versions = all_versions(self.files, self.folders)
                self.found = find_interpreter(self.files, self.folders, versions[-1]) if versions else None
        return self.found is not None

    def _scan(self, layer: Descriptor) -> bool:
        """Reads a layer until the interpreter is certain; a layer that was read to its end is kept as a listing."""
        found: list[Entry] = []
        with self._source.open_blob(layer.digest) as body:
            counted = _Counted(body)
            try:
                for entry in entries(decompressed(cast("BinaryIO", counted))):
                    found.append(entry)
                    self.files.add(entry)
                    if "python" in entry.path and entry.kind == "file" and self.decide():
                        return True
                while counted.read(_DRAIN):  # to the end, where the digest is checked
                    pass
            except CorruptData as error:
                raise RegistryError(
                    f"a layer of the base can't be read: {error}", where=layer.digest, next_step="Name another base"
                ) from error
            finally:
                self.read += counted.count
        self._listings.save(layer.digest, found)
        return False


class _Counted:
    """A stream that counts its bytes."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.count += len(data)
        return data


def _refuse(search: _Search, python: str | None, text: str) -> Interpreter:
    """The error for a base without the wanted Python."""
    versions = all_versions(search.files, search.folders)
    if not versions:
        raise BaseImageError("the base has no Python", where=text, next_step="Name a base that has one")
    raise BaseImageError(
        f"the base has Python {', '.join(versions)}, not {python}",
        where=text,
        next_step="Set base or python in [tool.vertex-training] so that they agree",
    )


def wrong_platform(text: str, platforms: str) -> BaseImageError:
    """The error for a base that Vertex AI can't run."""
    return BaseImageError(
        f"the base is only for {platforms}; Vertex AI runs linux/amd64",
        where=text,
        next_step="Name a base that has a linux/amd64 image",
    )
