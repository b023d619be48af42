"""Base images: resolved to a digest, read without pulling them, checked for the Python that is wanted."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...core.errors import BaseImageError
from ...core.files import write_atomic
from ...core.retry import retry
from ..oci.config import DOCKER
from ..oci.image_types import Descriptor
from ..oci.layout import OciLayout
from ..oci.reference import LayoutReference, Reference, parse_reference
from ..oci.target import ImageTarget
from ..registry.auth import Credentials, docker_login
from ..registry.repository import INDEXES, Repository
from .inspect import Interior, choose, look_into, wrong_platform

DEFAULTS = {python: f"docker.io/library/python:{python}-slim" for python in ("3.10", "3.11", "3.12", "3.13", "3.14")}
"""Docker's official images by Python's minor version: Debian, small, with nothing but Python."""

PREBUILT = "us-docker.pkg.dev/vertex-ai/training/{framework}:latest"
"""Vertex AI's own training images by full name, as {framework} = `tf-cpu.2-17.py310` or `pytorch-gpu.2-4.py310`:
https://cloud.google.com/vertex-ai/docs/training/pre-built-containers. Any of them can be a project's `base`."""


@dataclass(frozen=True, slots=True)
class Base:
    """A base image as it is now: its manifest, and, once somebody asks, its interior.

    Attributes:
        reference: By digest.
        digest: Of its linux/amd64 manifest.
        docker: Its media types are Docker's; what is built on it must follow.
        layers: In order.
        source: Where its layers can be had.
        read: Reads the interior.
    """

    reference: str
    digest: str
    docker: bool
    layers: Sequence[Descriptor]
    source: ImageTarget
    read: Callable[[], Interior]

    @property
    def interior(self) -> Interior:
        """What is inside.

        Raises:
            BaseImageError: It is for another platform, or hasn't the Python that is wanted.
            RegistryError: The registry can't be asked.
        """
        return self.read()


class _Once:
    """Reads when first called; threads share what was read."""

    def __init__(self, read: Callable[[], Interior]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._found: Interior | None = None

    def __call__(self) -> Interior:
        with self._lock:
            if self._found is None:
                self._found = self._read()
            return self._found


def default_base(python: str) -> str:
    """The base for a project that names none.

    Raises:
        BaseImageError: None is known for that version.
    """
    if python not in DEFAULTS:
        raise BaseImageError(
            f"no default base for Python {python}",
            where="base",
            next_step="Set base in [tool.vertex-training], or one of the versions " + ", ".join(DEFAULTS),
        )
    return DEFAULTS[python]


def resolve_base(
    text: str,
    *,
    cache: Path,
    python: str | None = None,
    credentials: Callable[[str], Credentials | None] = docker_login,
    max_age: float = 3600.0,
    clock: Callable[[], float] = time.time,
) -> Base:
    """Finds out what a base is: one request for a tag not asked within `max_age` seconds, none otherwise.

    A base that was never seen is asked for its manifest; the rest is read when its interior is wanted.

    Args:
        text: A tag or a digest at a registry, or an image in a layout.
        cache: Folder that remembers bases.
        python: The minor version wanted, "3.11"; a base without it is refused. None takes the newest it has.
        credentials: Who asks a host; docker's own login by default.
        max_age: Seconds; 0 asks now.
        clock: Seconds since 1970.

    Raises:
        BaseImageError: It isn't there, or has no image for linux/amd64.
        RegistryError: The registry can't be asked.
    """
    reference = parse_reference(text)
    source = _source(reference, credentials)
    digest = reference.digest or _digest_of_tag(reference, source, cache, max_age, clock)
    record = cache / "bases" / f"{digest.removeprefix('sha256:')}-{python or 'any'}.json"
    facts = _known(record)
    found = facts or _look_at(text, source, digest)

    def read() -> Interior:
        inside = facts
        if inside is None:
            inside = found | retry(lambda: look_into(text, source, found, python))
            write_atomic(record, json.dumps(inside))
        path, version = choose(inside["pythons"], python, text)
        return Interior(inside["config"], path, version)

    return Base(
        reference=source.reference(found["digest"]),
        digest=found["digest"],
        docker=found["docker"],
        layers=[Descriptor(**layer) for layer in found["layers"]],
        source=source,
        read=_Once(read),
    )


def base_digest(
    text: str,
    *,
    cache: Path,
    credentials: Callable[[str], Credentials | None] = docker_login,
    max_age: float = 3600.0,
    clock: Callable[[], float] = time.time,
) -> str:
    """A base's digest as `resolve_base` finds it, for builders that read nothing else of it; an index has its own.

    Raises:
        BaseImageError: It isn't there.
        RegistryError: The registry can't be asked.
    """
    reference = parse_reference(text)
    return reference.digest or _digest_of_tag(reference, _source(reference, credentials), cache, max_age, clock)


def _source(reference: Reference | LayoutReference, credentials: Callable[[str], Credentials | None]) -> ImageTarget:
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
    """A tag's digest, remembered for a while: a build an hour later may use another base, one a minute later not."""
    path = cache / "bases" / "tags.json"
    tags = _known(path) or {}
    digest, asked = tags.get(str(reference), ("", 0.0))
    if digest and 0 <= clock() - asked < max_age:
        return digest
    assert reference.tag
    found = source.head_manifest(reference.tag)
    if found is None:
        raise BaseImageError("there is no such base image", where=reference, next_step="Check its name and its tag")
    write_atomic(path, json.dumps({**tags, str(reference): (found.digest, clock())}))
    return found.digest


def _known(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _look_at(text: str, source: ImageTarget, digest: str) -> dict[str, Any]:
    """What the manifest tells."""
    media_type, manifest = _manifest(text, source, digest)
    if media_type in INDEXES:
        digest = _amd64(text, manifest)
        media_type, manifest = _manifest(text, source, digest)
    if "layers" not in manifest:
        raise BaseImageError(
            f"the base is of an old kind ({media_type or 'schema 1'})", where=text, next_step="Push it anew with docker"
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
