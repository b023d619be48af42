"""The values that a build takes and returns.

A layer has two hashes: its `digest` is that of the bytes as stored and sent (compressed), its `diff_id` that of the
uncompressed tar. See https://github.com/opencontainers/image-spec/blob/main/config.md#layer-diffid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from ...core.network.index_logins import IndexLogins
    from ...core.security.secret_sources import SecretSource

PLATFORM = "linux/amd64"


class SourceFile(Protocol):
    """A file of the project, as `project.files` lists it."""

    @property
    def path(self) -> str:
        """The path relative to the project, with `/`, valid UTF-8."""
        ...

    @property
    def source(self) -> Path:
        """The path on this machine."""
        ...

    @property
    def location(self) -> str | Path:
        """The path on this machine as it was listed: creating a `Path` for thousands of files takes time."""
        ...

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    @property
    def executable(self) -> bool:
        """Whether its owner may execute it: mode 755 in the image, else 644."""
        ...

    @property
    def signature(self) -> tuple[int, int, int, int] | None:
        """mtime_ns, ctime_ns, inode and size when it was listed; None if they have to be read."""
        ...


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A blob's media type, digest and size; https://github.com/opencontainers/image-spec/blob/main/descriptor.md."""

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """Everything that decides an image's contents.

    Attributes:
        name: The image's name, lowercase: the last part of a repository.
        root: The project's folder.
        files: The files that go into the image, sorted by path.
        script: The file that trains, relative to the project; empty if the entry point names none of its files.
        lock: The frozen dependencies as `pylock.toml` text; empty for none.
        runtime_features: The settings that need the runtime in the image; empty for an image without it.
        conda: The project's list of conda packages, where conda installs the dependencies.
        python: Minor version, as "3.11".
        base: A base image by tag or digest; None for an image without a base, which only local_vertex can run. Before
            `images.plan` has chosen a base: the one that the project names.
        base_python: Absolute path of the base's Python; None finds it.
        directories: Folders to create in the working directory.
        env: Environment variables of the image.
        labels: Annotations of the manifest, which are also the config's labels.
        fingerprint: Hash of the project's content and everything else here, hexadecimal; empty before it is planned.
        dockerfile: The project's own Dockerfile, for the docker builder.
        build_args: Docker build arguments.
        build_secrets: Where the secrets come from that the Dockerfile mounts, by their ids; no part of the image.
        target: The stage of the Dockerfile to build.
        entry: The words of the entry point, `python` for the interpreter; empty runs `script`.
        command: The words that start the training in place of the Dockerfile's ENTRYPOINT and CMD; empty keeps those.
            They are part of the image only where it has the runtime, else of the job.
        logins: The logins of private indexes, for downloads of the lock's wheels; no part of the image.
    """

    name: str
    root: Path
    files: Sequence[SourceFile]
    script: str
    lock: str
    python: str
    base: str | None = None
    base_python: str | None = None
    directories: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str = ""
    dockerfile: Path | None = None
    build_args: Mapping[str, str] = field(default_factory=dict)
    build_secrets: Mapping[str, SecretSource] = field(default_factory=dict)
    target: str | None = None
    conda: str | None = None
    runtime_features: Sequence[str] = ()
    entry: Sequence[str] = ()
    command: Sequence[str] = ()
    logins: IndexLogins | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class LayerReport:
    """What happened to one layer.

    Attributes:
        title: A description for people: "numpy 2.1.0", "12 small wheels", "code 3/8", "base".
        digest: SHA-256 of the compressed bytes.
        size: Compressed bytes.
        action: reused, built (made now), uploaded (sent now), or mounted (linked within the registry now).
        seconds: The time it took.
    """

    title: str
    digest: str
    size: int
    action: Literal["reused", "built", "uploaded", "mounted"]
    seconds: float


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image that exists.

    Attributes:
        reference: Its name, always with `@sha256:...`: `HOST/PATH@sha256:...` in a registry,
            `oci:FOLDER:NAME@sha256:...` in an OCI image layout (skopeo reads both forms).
        digest: The manifest's digest.
        media_type: The manifest's media type.
        size: Bytes of all compressed layers.
        layers: A report for each layer, in the image's order.
        builder: The builder that made it.
    """

    reference: str
    digest: str
    media_type: str
    size: int
    layers: Sequence[LayerReport] = ()
    builder: Literal["direct", "docker"] = "direct"

    @property
    def is_in_engine(self) -> bool:
        """Whether only a Docker engine has it yet; its reference is `docker-daemon:NAME@sha256:ID` then."""
        return self.reference.startswith("docker-daemon:")


Progress = Callable[[LayerReport], None]
"""Called with each layer's report when it is complete, from any thread."""
