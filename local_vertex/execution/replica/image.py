"""The image of a job: its config and layers, read from an image layout or a registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ....core.errors import ImageError, TrainingError
from ....images.oci.config import PREFIX
from ....images.oci.documents import amd64_candidates, is_index, manifest_blobs, parse_object, read_config
from ....images.oci.image_types import Descriptor
from ....images.oci.layout import OciLayout
from ....images.oci.reference import LayoutReference, Reference, parse_reference
from ....images.oci.target import ImageTarget
from ...lent_logins import LentLogins

if TYPE_CHECKING:
    from ....images.registry.repository import Repository

_CACHE_SIZE = 100


@dataclass(frozen=True, slots=True)
class Image:
    """A container image.

    Attributes:
        uri: The image's URI, as the client sent it.
        source: The registry repository or image layout that has its blobs.
        digest: Digest of the manifest.
        config_digest: Digest of the config; also the image's id in a Docker engine.
        config_size: Size of the config, in bytes.
        layers: The layers, lowest first.
        config: The run-time part of its config: Entrypoint, Cmd, Env, WorkingDir, Labels.
        engine_id: Its id in this machine's container engine, if only that has it.
    """

    uri: str
    source: ImageTarget
    digest: str
    config_digest: str
    config_size: int
    layers: Sequence[Descriptor]
    config: Mapping[str, Any]
    engine_id: str = ""

    @property
    def has_base(self) -> bool:
        """Whether it contains an operating system; such an image needs a Docker engine."""
        return self._label("base") != "none"

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


class Images:
    """Finds images and caches those with a digest in their URI, which never change. Threads may share it.

    Args:
        logins: Logins for registries that clients lent the service; docker's on this machine come after them.
        in_engine: Finds an image of this machine's container engine by its name or id; None without one.
    """

    def __init__(
        self, logins: LentLogins | None = None, in_engine: Callable[[str], Image | None] = lambda _: None
    ) -> None:
        self._logins = logins or LentLogins()
        self._in_engine = in_engine
        self._cache: dict[str, Image] = {}

    def cached(self, uri: str) -> Image | None:
        """The image if it was found before, without any request; else None."""
        return self._cache.get(uri)

    def find(self, uri: str) -> Image:
        """Reads an image's manifest and config from the image layout or the registry.

        Raises:
            ImageError: The image doesn't exist, or not for linux/amd64.
            RegistryError: The URI or a blob is invalid, or the registry denies access.
        """
        image = self._cache.get(uri)
        if image is None:
            image = self._found(uri)
            if parse_reference(uri).digest is not None:
                if len(self._cache) >= _CACHE_SIZE:
                    self._cache.clear()
                self._cache[uri] = image
        return image

    def _found(self, uri: str) -> Image:
        """The image in its registry or layout, else in the engine, where a tag is looked up first, as docker does.

        An engine's image without a registry has no digest, so a URI with one is its registry's.
        """
        reference = parse_reference(uri)
        if isinstance(reference, LayoutReference):
            return _read(uri, OciLayout(reference.folder, reference.name))
        if reference.digest is None and (found := self._in_engine(uri)):
            return found
        try:
            return _read(uri, self._repository(reference))
        except TrainingError:
            if reference.digest is not None and (found := self._in_engine(uri)):
                return found
            raise

    def _repository(self, reference: Reference) -> Repository:
        from ....images.registry.auth import Credentials
        from ....images.registry.logins import docker_login
        from ....images.registry.repository import Repository

        lent = self._logins.of(reference.host)
        return Repository(reference, credentials=Credentials.of_pair(lent) if lent else docker_login(reference.name))


def _read(uri: str, source: ImageTarget) -> Image:
    reference = parse_reference(uri)
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
