"""What an image is made of and what a build returns: plain values, no I/O.

Two hashes are never confused: a `digest` is of the bytes as stored and sent (compressed), a `diff_id` of the
uncompressed tar. See https://github.com/opencontainers/image-spec/blob/main/config.md#layer-diffid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

PLATFORM = "linux/amd64"


class SourceFile(Protocol):
    """One file of the project, as `project.files` lists it."""

    @property
    def path(self) -> str:
        """Relative to the project, with `/`, valid UTF-8."""
        ...

    @property
    def source(self) -> Path:
        """Where its bytes lie on this machine."""
        ...

    @property
    def location(self) -> str | Path:
        """The same, as it was listed: no `Path` has to be made for each of thousands of files."""
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
        """mtime_ns, ctime_ns, inode and size as they were when it was listed; None asks the disk."""
        ...


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A blob by what it holds; https://github.com/opencontainers/image-spec/blob/main/descriptor.md."""

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """Everything that decides an image's bytes.

    Attributes:
        name: The project's image name, lowercase: the last part of a repository.
        root: The project's folder.
        files: What goes into the image, sorted by path.
        script: The training script, relative to the project.
        lock: The frozen dependencies as `pylock.toml` text; empty for none.
        conda: The project's file that lists conda's packages, where that is what is installed.
        python: Minor version, as "3.11".
        base: A base image by tag or digest; None for no base at all (this machine's Python, local_vertex only).
        directories: Folders to make in the working directory.
        env: Environment of the image.
        labels: OCI annotation names to values; also the config's labels.
        fingerprint: Hash of the project's content and everything else here, hexadecimal.
        dockerfile: The project's own Dockerfile, for the Docker way.
        build_args: Docker build arguments.
        target: The Dockerfile's stage to build.
    """

    name: str
    root: Path
    files: Sequence[SourceFile]
    script: str
    lock: str
    python: str
    base: str | None = None
    directories: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str = ""
    dockerfile: Path | None = None
    build_args: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    conda: str | None = None


@dataclass(frozen=True, slots=True)
class LayerReport:
    """What happened to one layer.

    Attributes:
        title: What it holds, for people: "numpy 2.1.0", "12 small wheels", "code 3/8", "base".
        digest: Of the compressed bytes.
        size: Compressed bytes.
        action: reused = known from before; built = made now; uploaded, mounted = travelled now.
        seconds: Time spent on it.
    """

    title: str
    digest: str
    size: int
    action: Literal["reused", "built", "uploaded", "mounted"]
    seconds: float


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image that exists, by digest.

    Attributes:
        reference: Where it lies, always with `@sha256:...`: `HOST/PATH@sha256:...` in a registry,
            `oci:FOLDER:NAME@sha256:...` in an OCI image layout (skopeo reads both forms).
        digest: Of the manifest.
        media_type: Of the manifest.
        size: Sum of all compressed layers, bytes.
        layers: One report a layer, in the image's order.
        builder: Which engine made it.
    """

    reference: str
    digest: str
    media_type: str
    size: int
    layers: Sequence[LayerReport] = ()
    builder: Literal["direct", "docker"] = "direct"


Progress = Callable[[LayerReport], None]
"""Called once a layer, from any thread, as soon as what happened to it is known."""
