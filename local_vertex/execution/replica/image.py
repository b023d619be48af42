"""The image of a job: its config and layers, read from an image layout, a registry or a Docker engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ....core.errors import ImageError, TrainingError
from ....images.oci.config import PREFIX
from ....images.oci.documents import amd64_candidates, is_index, manifest_blobs, parse_object, read_config
from ....images.oci.image_types import Descriptor
from ....images.oci.layout import OciLayout
from ....images.oci.reference import LayoutReference, parse_reference
from ....images.oci.target import ImageTarget
from ...lent_logins import LentLogins

_CACHE_SIZE = 100


@dataclass(frozen=True, slots=True)
class Image:
    """A container image.

    Attributes:
        uri: The image's URI, as the client sent it.
        source: The registry repository or image layout that has its blobs; None for an image of the engine.
        digest: Digest of the manifest.
        config_digest: Digest of the config; also the image's id in a Docker engine.
        config_size: Size of the config, in bytes.
        layers: The layers, lowest first.
        config: The run-time part of its config: Entrypoint, Cmd, Env, WorkingDir, Labels.
    """

    uri: str
    source: ImageTarget | None
    digest: str
    config_digest: str
    config_size: int
    layers: Sequence[Descriptor]
    config: Mapping[str, Any]

    @property
    def has_base(self) -> bool:
        """Whether it contains an operating system; such an image needs a Docker engine."""
        return self.source is None or self._label("base") != "none"

    @property
    def blobs(self) -> ImageTarget:
        """What has the blobs of an image that is not the engine's."""
        assert self.source is not None
        return self.source

    @property
    def python(self) -> str:
        """The Python version ("3.11") that an image without a base is for; empty for any."""
        return self._label("python")

    @property
    def entrypoint(self) -> list[str]:
        """The program that a container of the image runs."""
        return list(self.config.get("Entrypoint") or ())

    @property
    def arguments(self) -> list[str]:
        """The arguments of that program."""
        return list(self.config.get("Cmd") or ())

    @property
    def env(self) -> dict[str, str]:
        """The environment variables that the image sets."""
        return dict(item.partition("=")[::2] for item in self.config.get("Env") or ())

    @property
    def working_dir(self) -> str:
        """The working directory, an absolute path inside the image."""
        return self.config.get("WorkingDir") or "/"

    def _label(self, name: str) -> str:
        return (self.config.get("Labels") or {}).get(f"{PREFIX}.{name}", "")


@dataclass(frozen=True, slots=True)
class EngineImage:
    """An image that a Docker engine has.

    Attributes:
        id: Its id in the engine, the digest of its config.
        config: The run-time part of its config.
        is_local: Whether it was built here and never pushed or pulled: no registry has it under this name.
    """

    id: str
    config: Mapping[str, Any]
    is_local: bool


class EngineImages(Protocol):
    """Looks for images in a Docker engine; implemented by `container.images`."""

    def __call__(self, uri: str) -> EngineImage | None:
        """The image of a name; None if the engine doesn't have it, or no engine answers."""
        ...


class Images:
    """Finds images and caches those with a digest in their URI, which never change. Threads may share it.

    Args:
        engine: Looks for images that only the Docker engine has.
        logins: Logins for registries that clients lent the service; docker's on this machine come after them.
    """

    def __init__(
        self,
        engine: EngineImages = lambda uri: None,  # noqa: ARG005 - the protocol names it
        logins: LentLogins | None = None,
    ) -> None:
        self._logins = logins or LentLogins()
        self._cache: dict[str, Image] = {}
        self._latest: dict[str, Image] = {}
        self._engine = engine

    def cached(self, uri: str) -> Image | None:
        """The image if it was found before, without any request; else None."""
        return self._cache.get(uri)

    def find(self, uri: str) -> Image:
        """Reads an image's manifest and config from the image layout or the registry, or else from the engine.

        Raises:
            ImageError: The image doesn't exist, or not for linux/amd64.
            RegistryError: The URI or a blob is invalid, or the registry denies access.
        """
        image = self._cache.get(uri)
        if image is None:
            image = self._read(uri)
            if len(self._latest) >= _CACHE_SIZE:
                self._latest.clear()
            self._latest[uri] = image
            if parse_reference(uri).digest is not None:
                if len(self._cache) >= _CACHE_SIZE:
                    self._cache.clear()
                self._cache[uri] = image
        return image

    def in_engine(self, uri: str) -> Image | None:
        """An image that was built here and never pushed; None where a registry or a layout has to be asked.

        As with `docker run`, no registry is asked for it, which may be out of reach.
        """
        found = None if uri.startswith("oci:") else self._engine(uri)
        image = _of_engine(uri, found) if found is not None and found.is_local else None
        if image is not None:
            self._latest[uri] = image
        return image

    def known(self, uri: str) -> Image:
        """The image as it was last found, so that all parts of an attempt use the same; else as `find`."""
        return self._cache.get(uri) or self._latest.get(uri) or self.find(uri)

    def _read(self, uri: str) -> Image:
        try:
            return _read(uri, self._logins)
        except TrainingError:
            # The engine may have it from an earlier pull, while its registry is out of reach.
            found = None if uri.startswith("oci:") else self._engine(uri)
            if found is None:
                raise
            return _of_engine(uri, found)


def _of_engine(uri: str, image: EngineImage) -> Image:
    return Image(uri, None, image.id, image.id, 0, (), image.config)


def host_of(uri: str) -> str:
    """What an image's look-up may hang on: its registry's host; empty for a layout on this machine."""
    if uri.startswith("oci:"):
        return ""
    first, slash, _ = uri.partition("/")
    return first if slash and ({".", ":"} & set(first) or first == "localhost") else "docker.io"


def _read(uri: str, logins: LentLogins) -> Image:
    reference = parse_reference(uri)
    if isinstance(reference, LayoutReference):
        source: ImageTarget = OciLayout(reference.folder, reference.name)
    else:
        from ....images.registry.auth import Credentials
        from ....images.registry.logins import docker_login
        from ....images.registry.repository import Repository

        lent = logins.of(reference.host)
        source = Repository(reference, credentials=Credentials.of_pair(lent) if lent else docker_login(reference.name))
    wanted = reference.digest or reference.tag or ""
    descriptor, manifest = _manifest(uri, source, wanted)
    if is_index(manifest, descriptor.media_type):
        candidates, _ = amd64_candidates(manifest, uri)
        if not candidates:
            raise ImageError("the image has no linux/amd64 variant", where=uri, next_step="Build it for linux/amd64")
        descriptor, manifest = _manifest(uri, source, candidates[0].digest)
    config, layers = manifest_blobs(manifest, uri)
    document = read_config(source.open_blob(config.digest), uri)
    return Image(uri, source, descriptor.digest, config.digest, config.size, layers, document["config"])


def _manifest(uri: str, source: ImageTarget, wanted: str) -> tuple[Descriptor, dict[str, Any]]:
    found = source.get_manifest(wanted)
    if found is None:
        raise ImageError("there is no such image", where=uri, next_step="Build it, or check its name and its digest")
    return found[0], parse_object(found[1], "manifest", uri)
