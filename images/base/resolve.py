"""Base images: resolved to a digest, and read without being pulled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ...core.errors import BaseImageError
from ...core.integrity.sealed_json import read_sealed, write_sealed
from ...core.retry import retry
from ..oci.config import DOCKER, OCI
from ..oci.documents import amd64_candidates, is_index, manifest_blobs, parse_object
from ..oci.image_types import Descriptor
from ..oci.layout import OciLayout
from ..oci.reference import LayoutReference, Reference, parse_reference
from ..oci.target import ImageTarget
from ..registry.auth import CredentialsFor
from ..registry.logins import docker_login
from ..registry.repository import Repository
from .inspect import BaseContents, Listings, inspect_base, read_platform, wrong_platform

_FORMAT = 2
"""Version of the records of bases; raise it when they hold other facts."""

_IMAGE_CONFIGS = frozenset((OCI.config, DOCKER.config, "application/octet-stream", ""))
"""The media types of an image's config; two are of old tools."""

_ELSEWHERE = ("foreign", "nondistributable")
"""Parts of the media types of layers that registries needn't keep."""


@dataclass(frozen=True, slots=True)
class Base:
    """A base image: its manifest, and on request its contents.

    Attributes:
        reference: The image's name by digest.
        digest: The digest of its linux/amd64 manifest.
        config: Its config document.
        docker: Whether its media types are Docker's; images built on it must have the same.
        layers: Its layers, lowest first.
        source: The registry or layout that has its layers.
        read: Reads the contents.
    """

    reference: str
    digest: str
    config: Mapping[str, Any]
    docker: bool
    layers: Sequence[Descriptor]
    source: ImageTarget
    read: Callable[[], BaseContents]

    @property
    def contents(self) -> BaseContents:
        """The image's config and its Python, read at the first access.

        Raises:
            BaseImageError: It is for another platform, or doesn't have the requested Python.
            RegistryError: The registry can't be asked.
        """
        return self.read()


class _ReadOnce:
    """Reads the contents at the first call, and keeps them for all threads."""

    def __init__(self, read: Callable[[], BaseContents]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._found: BaseContents | None = None

    def __call__(self) -> BaseContents:
        with self._lock:
            if self._found is None:
                self._found = self._read()
            return self._found


def resolve_base(
    text: str,
    *,
    cache: Path,
    python: str | None = None,
    interpreter: str | None = None,
    credentials: CredentialsFor = docker_login,
    max_age: float = 3600.0,
    clock: Callable[[], float] = time.time,
) -> Base:
    """Resolves a base image, with one request for a tag that wasn't resolved within `max_age` seconds.

    For a base that isn't cached the manifest is read too; its contents are read at the first access.

    Args:
        text: A reference by tag or digest in a registry or a layout.
        cache: Folder that remembers base images.
        python: The minor version that the base must have, as "3.11"; None takes its newest.
        interpreter: The absolute path of its Python, where a person names it: no layer is read then.
        credentials: Credentials for a registry's host. Default: docker's login.
        max_age: Seconds for which a tag's digest is remembered; 0 always asks.
        clock: Seconds since 1970.

    Raises:
        BaseImageError: There is no such image, or none for linux/amd64.
        RegistryError: The registry can't be asked.
    """
    reference = parse_reference(text)
    source = _source(reference, credentials)
    digest = reference.digest or _digest_of_tag(reference, source, cache, max_age, clock)
    record = cache / "bases" / f"{digest.removeprefix('sha256:')}.json"
    known = read_sealed(record)
    found = known if known and known["format"] == _FORMAT else _read_base_manifest(text, source, digest)
    if found is not known:
        write_sealed(record, found)
    layers = [Descriptor(**layer) for layer in found["layers"]]

    def read() -> BaseContents:
        if interpreter is not None:
            return BaseContents(found["config"], interpreter, python or "")
        return _contents(text, source, found, python=python, cache=cache)

    return Base(
        reference=source.reference(found["digest"]),
        digest=found["digest"],
        config=found["config"],
        docker=found["docker"],
        layers=layers,
        source=source,
        read=_ReadOnce(read),
    )


def _contents(
    text: str, source: ImageTarget, found: Mapping[str, Any], *, python: str | None, cache: Path
) -> BaseContents:
    """The contents of a base, from this machine's record or from its layers."""
    folder = cache / "bases" / "pythons"
    record = folder / f"{found['digest'].removeprefix('sha256:')}-{python or 'any'}.json"
    known = read_sealed(record)
    if known and known["format"] == _FORMAT:
        return BaseContents(found["config"], known["python"], known["version"], tuple(known["packages"]))
    listings = Listings(cache / "bases" / "layers")
    layers = [Descriptor(**layer) for layer in found["layers"]]
    contents = retry(
        lambda: inspect_base(text, source, found["config"], layers=layers, python=python, listings=listings)
    )
    facts = {"python": contents.python, "version": contents.python_version, "packages": list(contents.packages)}
    write_sealed(record, {"format": _FORMAT, **facts})
    return contents


def base_digest(
    text: str,
    *,
    cache: Path,
    credentials: CredentialsFor = docker_login,
    max_age: float = 3600.0,
    clock: Callable[[], float] = time.time,
) -> str:
    """The digest that a reference stands for, of an image or of an index; arguments as for `resolve_base`.

    Raises:
        BaseImageError: There is no such image.
        RegistryError: The registry can't be asked.
    """
    reference = parse_reference(text)
    return reference.digest or _digest_of_tag(reference, _source(reference, credentials), cache, max_age, clock)


def check_platform(text: str, digest: str, credentials: CredentialsFor = docker_login) -> None:
    """Checks that a base can be used for linux/amd64, by its config; reads nothing of its layers.

    Args:
        text: Its reference.
        digest: Its digest, of an image or of an index.
        credentials: Credentials for its registry.

    Raises:
        BaseImageError: It is for another platform only, or is no image.
        RegistryError: The registry can't be asked.
    """
    _read_base_manifest(text, _source(parse_reference(text), credentials), digest)


def _source(reference: Reference | LayoutReference, credentials: CredentialsFor) -> ImageTarget:
    if isinstance(reference, LayoutReference):
        return OciLayout(reference.folder, reference.name, own=False)
    return Repository(reference, credentials=credentials(reference.name))


def _digest_of_tag(
    reference: Reference | LayoutReference,
    source: ImageTarget,
    cache: Path,
    max_age: float,
    clock: Callable[[], float],
) -> str:
    """The digest of a tag, remembered for `max_age` seconds."""
    path = cache / "bases" / "tags.json"
    tags = (read_sealed(path) or {}).get("tags", {})
    digest, asked = tags.get(str(reference), ("", 0.0))
    if digest and 0 <= clock() - asked < max_age:
        return digest
    assert reference.tag
    found = source.head_manifest(reference.tag)
    if found is None:
        raise BaseImageError("there is no such base image", where=reference, next_step="Check its name and its tag")
    write_sealed(path, {"tags": {**tags, str(reference): (found.digest, clock())}})
    return found.digest


def _read_base_manifest(text: str, source: ImageTarget, digest: str) -> dict[str, Any]:
    """The facts of the linux/amd64 manifest that `Base` needs, and its config, as they are cached."""
    media_type, manifest = _manifest(text, source, digest)
    if is_index(manifest, media_type):
        return _of_index(text, source, manifest)
    return _facts(text, source, digest, media_type, manifest)


def _facts(text: str, source: ImageTarget, digest: str, media_type: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
    if "layers" not in manifest:
        raise BaseImageError(
            f"the base has an old manifest format ({media_type or 'schema 1'})",
            where=text,
            next_step="Push it again with a current docker",
        )
    config, layers = manifest_blobs(manifest, text)
    if config.media_type not in _IMAGE_CONFIGS:
        raise BaseImageError(
            f"this is no image but an artifact of the type {manifest.get('artifactType') or config.media_type}",
            where=text,
            next_step="Name an image: an artifact has files beside an image, such as its signature",
        )
    for layer in layers:
        if any(word in layer.media_type for word in _ELSEWHERE) and not retry(partial(source.has_blob, layer.digest)):
            raise BaseImageError(
                f"a layer of the base isn't in its registry, because it may not be passed on ({layer.media_type})",
                where=text,
                next_step="Push the base with that layer, or name another base",
            )
    return {
        "format": _FORMAT,
        "digest": digest,
        "docker": media_type == DOCKER.manifest,
        "layers": [asdict(layer) for layer in layers],
        "config": retry(lambda: read_platform(text, source, config.digest)),
    }


def _of_index(text: str, source: ImageTarget, index: Mapping[str, Any], *, is_nested: bool = False) -> dict[str, Any]:
    """The facts of the manifest for the plainest amd64 of an index; entries without a platform are tried in turn."""
    candidates, platforms = amd64_candidates(index, text)
    for candidate in candidates:
        media_type, manifest = _manifest(text, source, candidate.digest)
        try:
            if not is_index(manifest, media_type):
                return _facts(text, source, candidate.digest, media_type, manifest)
            if not is_nested:  # an index in an index, as some build tools nest them
                return _of_index(text, source, manifest, is_nested=True)
        except BaseImageError:
            platforms.append("another platform, by its config")
    raise wrong_platform(text, ", ".join(sorted(set(platforms))) or "no platform")


def _manifest(text: str, source: ImageTarget, digest: str) -> tuple[str, dict[str, Any]]:
    found = source.get_manifest(digest)
    if found is None:
        raise BaseImageError("there is no such base image", where=text, next_step="Check its name and its digest")
    manifest = parse_object(found[1], "manifest", text)
    return str(manifest.get("mediaType") or found[0].media_type), manifest
