"""Base images: resolved to a digest, and read without being pulled."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...core.atomic_files import write_atomic
from ...core.errors import BaseImageError
from ...core.retry import retry
from ..oci.config import DOCKER
from ..oci.image_types import Descriptor
from ..oci.layout import OciLayout
from ..oci.reference import LayoutReference, Reference, parse_reference
from ..oci.target import ImageTarget
from ..registry.auth import CredentialsFor, docker_login
from ..registry.repository import INDEXES, Repository
from .inspect import BaseContents, choose_python, inspect_base, wrong_platform


@dataclass(frozen=True, slots=True)
class Base:
    """A base image: its manifest, and on request its contents.

    Attributes:
        reference: The image's name by digest.
        digest: The digest of its linux/amd64 manifest.
        docker: Whether its media types are Docker's; images built on it must have the same.
        layers: Its layers, lowest first.
        source: The registry or layout that has its layers.
        read: Reads the contents.
    """

    reference: str
    digest: str
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
    record = cache / "bases" / f"{digest.removeprefix('sha256:')}-{python or 'any'}.json"
    cached = _read_json(record)
    found = cached or _read_base_manifest(text, source, digest)

    def read() -> BaseContents:
        details = cached
        if details is None:
            details = found | retry(lambda: inspect_base(text, source, found, python))
            write_atomic(record, json.dumps(details))
        path, version = choose_python(details["pythons"], python, text)
        return BaseContents(details["config"], path, version)

    return Base(
        reference=source.reference(found["digest"]),
        digest=found["digest"],
        docker=found["docker"],
        layers=[Descriptor(**layer) for layer in found["layers"]],
        source=source,
        read=_ReadOnce(read),
    )


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


def _source(reference: Reference | LayoutReference, credentials: CredentialsFor) -> ImageTarget:
    if isinstance(reference, LayoutReference):
        return OciLayout(reference.folder, reference.name)
    return Repository(reference, credentials=credentials(reference.host))


def _digest_of_tag(
    reference: Reference | LayoutReference,
    source: ImageTarget,
    cache: Path,
    max_age: float,
    clock: Callable[[], float],
) -> str:
    """The digest of a tag, remembered for `max_age` seconds."""
    path = cache / "bases" / "tags.json"
    tags = _read_json(path) or {}
    digest, asked = tags.get(str(reference), ("", 0.0))
    if digest and 0 <= clock() - asked < max_age:
        return digest
    assert reference.tag
    found = source.head_manifest(reference.tag)
    if found is None:
        raise BaseImageError("there is no such base image", where=reference, next_step="Check its name and its tag")
    write_atomic(path, json.dumps({**tags, str(reference): (found.digest, clock())}))
    return found.digest


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _read_base_manifest(text: str, source: ImageTarget, digest: str) -> dict[str, Any]:
    """The facts of the linux/amd64 manifest that `Base` needs, as they are cached."""
    media_type, manifest = _manifest(text, source, digest)
    if media_type in INDEXES:
        digest = _amd64(text, manifest)
        media_type, manifest = _manifest(text, source, digest)
    if "layers" not in manifest:
        raise BaseImageError(
            f"the base has an old manifest format ({media_type or 'schema 1'})",
            where=text,
            next_step="Push it again with a current docker",
        )
    layers = [Descriptor(layer["mediaType"], layer["digest"], layer["size"]) for layer in manifest["layers"]]
    return {
        "digest": digest,
        "docker": media_type == DOCKER.manifest,
        "layers": [asdict(layer) for layer in layers],
        "config_digest": manifest["config"]["digest"],
    }


def _manifest(text: str, source: ImageTarget, digest: str) -> tuple[str, dict[str, Any]]:
    found = source.get_manifest(digest)
    if found is None:
        raise BaseImageError("there is no such base image", where=text, next_step="Check its name and its digest")
    manifest = json.loads(found[1])
    return manifest.get("mediaType") or found[0].media_type, manifest


def _amd64(text: str, index: dict[str, Any]) -> str:
    platforms = []
    for entry in index["manifests"]:
        platform = entry.get("platform", {})
        if (platform.get("os"), platform.get("architecture")) == ("linux", "amd64"):
            return entry["digest"]
        platforms.append(f"{platform.get('os', '?')}/{platform.get('architecture', '?')}")
    raise wrong_platform(text, ", ".join(sorted(set(platforms))))
