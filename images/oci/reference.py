"""Image references: `HOST/REPOSITORY:TAG@DIGEST` in a registry, `oci:FOLDER:NAME@DIGEST` in an OCI image layout.

Rules: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests. The layout form is the
one that skopeo and podman read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import RegistryError
from .registry_host import DOCKER_HUB, canonical_host

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*|\[[0-9a-fA-F:]+\])(?::\d{1,5})?")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
# The folder may have colons; the name is the last part that has none and no slash.
_LAYOUT = re.compile(r"oci:(?P<folder>.+):(?P<name>[^:@/]+)(?:@(?P<digest>sha256:.+)|:(?P<tag>[^:/]+))")


@dataclass(frozen=True, slots=True)
class Reference:
    """An image in a registry.

    Attributes:
        host: The registry's host in its canonical form (see `canonical_host`), with its port if it has one.
        repository: The path below the host.
        tag: A name that may move; None if only a digest is given.
        digest: `sha256:...`; None if only a tag is given.
    """

    host: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    def __post_init__(self) -> None:
        # The one place where a host enters: everything else may compare hosts as text.
        object.__setattr__(self, "host", canonical_host(self.host))

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Reads a reference as docker does: the default host is Docker Hub, the default tag `latest`.

        Raises:
            RegistryError: A part breaks its rule; the message names the part.
        """
        rest, _, digest = text.partition("@")
        if digest and not DIGEST.fullmatch(digest):
            raise _invalid(text, f"the digest {digest!r} is not sha256: and 64 hexadecimal digits")
        head, slash, tail = rest.partition("/")
        if slash and ("." in head or ":" in head or head == "localhost"):
            host = head
        else:
            host, tail = DOCKER_HUB, rest
        repository, colon, tag = tail.partition(":")
        if canonical_host(host) == DOCKER_HUB and "/" not in repository:
            repository = f"library/{repository}"
        if colon and not TAG.fullmatch(tag):
            raise _invalid(text, f"the tag {tag!r} is not 1 to 128 letters, digits, '_', '.', '-'")
        if not _HOST.fullmatch(host):
            raise _invalid(text, f"the host {host!r} is not a host name")
        check_repository(repository, text)
        return cls(host, repository, tag or (None if digest else "latest"), digest or None)

    @property
    def name(self) -> str:
        """Host and repository, without tag and digest."""
        return f"{self.host}/{self.repository}"

    def at(self, digest: str) -> Reference:
        """The image with this digest in the same repository."""
        return Reference(self.host, self.repository, None, digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


@dataclass(frozen=True, slots=True)
class LayoutReference:
    """An image in an OCI image layout on this machine."""

    folder: Path
    name: str
    tag: str | None = None
    digest: str | None = None

    def __str__(self) -> str:
        return f"oci:{self.folder}:{self.name}" + (f"@{self.digest}" if self.digest else f":{self.tag}")


def parse_reference(text: str) -> Reference | LayoutReference:
    """Reads a reference of either form.

    Raises:
        RegistryError: A part breaks its rule; the message names the part.
    """
    if not text.startswith("oci:"):
        return Reference.parse(text)
    match = _LAYOUT.fullmatch(text)
    if not match or (match["digest"] and not DIGEST.fullmatch(match["digest"])):
        raise _invalid(text, "an image in a layout is written oci:FOLDER:NAME@sha256:DIGEST")
    return LayoutReference(Path(match["folder"]), match["name"], match["tag"], match["digest"])


def check_repository(repository: str, text: str) -> None:
    """Checks a repository's path.

    Args:
        repository: The path below the host.
        text: The whole reference, for the message.

    Raises:
        RegistryError: A component breaks the rule; the message proposes the nearest valid name.
    """
    for component in repository.split("/"):
        if _COMPONENT.fullmatch(component):
            continue
        proposal = re.sub(r"[^a-z0-9]+", "-", component.lower()).strip("-")
        step = f"Write {proposal!r}" if proposal else "Give it a name"
        raise RegistryError(
            f"{component!r} can't be part of an image's name: lowercase letters and digits, joined by '.', '_' or '-'",
            where=text,
            next_step=step,
        )


def _invalid(text: str, what: str) -> RegistryError:
    return RegistryError(what, where=text, next_step="Write HOST/PATH:TAG or HOST/PATH@sha256:DIGEST")
