"""The image of a job: where its blobs lie, what its config says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...core.errors import ImageError
from ...images.oci.config import PREFIX
from ...images.oci.image_types import Descriptor
from ...images.oci.layout import OciLayout
from ...images.oci.reference import LayoutReference, parse_reference
from ...images.oci.target import ImageTarget

_INDEX_KEY = "manifests"
_REMEMBERED = 100


@dataclass(frozen=True, slots=True)
class Image:
    """An image by what it holds.

    Attributes:
        uri: As the client wrote it.
        source: Where its blobs lie.
        digest: Of its manifest.
        config_digest: Of its config; also its id in a Docker engine.
        layers: Lowest first.
        config: The run-time part of its config: Entrypoint, Cmd, Env, WorkingDir, Labels.
    """

    uri: str
    source: ImageTarget
    digest: str
    config_digest: str
    config_size: int
    layers: Sequence[Descriptor]
    config: Mapping[str, Any]

    @property
    def has_base(self) -> bool:
        """Whether it brings a system of its own, which only a Docker engine can give it."""
        return self._label("base") != "none"

    @property
    def python(self) -> str:
        """The minor version that an image without a base is for; empty for any."""
        return self._label("python")

    @property
    def entrypoint(self) -> list[str]:
        """What runs."""
        return list(self.config.get("Entrypoint") or ())

    @property
    def arguments(self) -> list[str]:
        """What it is given."""
        return list(self.config.get("Cmd") or ())

    @property
    def env(self) -> dict[str, str]:
        """The image's own variables."""
        return dict(item.partition("=")[::2] for item in self.config.get("Env") or ())

    @property
    def working_dir(self) -> str:
        """Absolute, inside the image."""
        return self.config.get("WorkingDir") or "/"

    def _label(self, name: str) -> str:
        return (self.config.get("Labels") or {}).get(f"{PREFIX}.{name}", "")


class Images:
    """Finds images, and remembers those that are named by digest: they never change. Safe to use from many threads."""

    def __init__(self) -> None:
        self._known: dict[str, Image] = {}

    def known(self, uri: str) -> Image | None:
        """An image that was found before, without asking anybody."""
        return self._known.get(uri)

    def find(self, uri: str) -> Image:
        """Reads manifest and config, from the layout on this machine or from the registry.

        Raises:
            ImageError: There is no such image, or none for linux/amd64.
            RegistryError: The name or a blob is wrong, or the registry refused.
        """
        image = self._known.get(uri)
        if image is None:
            image = _read(uri)
            if parse_reference(uri).digest is not None:
                if len(self._known) >= _REMEMBERED:
                    self._known.clear()
                self._known[uri] = image
        return image


def _read(uri: str) -> Image:
    reference = parse_reference(uri)
    if isinstance(reference, LayoutReference):
        source: ImageTarget = OciLayout(reference.folder, reference.name)
    else:
        from ...images.registry.auth import docker_login
        from ...images.registry.repository import Repository

        source = Repository(reference, credentials=docker_login(reference.host))
    wanted = reference.digest or reference.tag or ""
    descriptor, manifest = _manifest(uri, source, wanted)
    if _INDEX_KEY in manifest:
        descriptor, manifest = _manifest(uri, source, _amd64(uri, manifest))
    try:
        config = manifest["config"]
        layers = [Descriptor(layer["mediaType"], layer["digest"], layer["size"]) for layer in manifest["layers"]]
        with source.open_blob(config["digest"]) as body:
            document = json.loads(body.read())
        return Image(uri, source, descriptor.digest, config["digest"], config["size"], layers, document["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise ImageError(
            "the image's manifest or config can't be read", where=uri, next_step="Build it again"
        ) from error


def _manifest(uri: str, source: ImageTarget, wanted: str) -> tuple[Descriptor, dict[str, Any]]:
    found = source.get_manifest(wanted)
    if found is None:
        raise ImageError("there is no such image", where=uri, next_step="Build it, or check its name and its digest")
    return found[0], json.loads(found[1])


def _amd64(uri: str, index: Mapping[str, Any]) -> str:
    for entry in index[_INDEX_KEY]:
        platform = entry.get("platform", {})
        if (platform.get("os"), platform.get("architecture")) == ("linux", "amd64"):
            return entry["digest"]
    raise ImageError("the image has no linux/amd64 variant", where=uri, next_step="Build it for linux/amd64")
