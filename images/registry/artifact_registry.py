"""Image names by kind of registry, and the rules that each kind has.

    gcr.io, us.gcr.io, eu.gcr.io, asia.gcr.io    HOST/PROJECT/IMAGE
    REGION-docker.pkg.dev                        HOST/PROJECT/REPOSITORY/IMAGE
    any other host                               HOST[:PORT]/[PROJECT/][REPOSITORY/]IMAGE

https://cloud.google.com/artifact-registry/docs/docker/names,
https://cloud.google.com/resource-manager/docs/creating-managing-projects#before_you_begin and, for all,
https://github.com/distribution/reference/blob/main/reference.go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...core.errors import RegistryError

GCR_LOCATIONS = {"gcr.io": "us", "us.gcr.io": "us", "eu.gcr.io": "europe", "asia.gcr.io": "asia"}
"""Container Registry's hosts, and where Artifact Registry keeps the repository of the same name that serves each:
https://cloud.google.com/artifact-registry/docs/transition/transition-from-gcr."""

_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?::\d{1,5})?"
)
_PKG_DEV = re.compile(r"([a-z]+(?:-[a-z]+\d+)?)-docker\.pkg\.dev")
_PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")
_DOMAIN = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+")
_REPOSITORY = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_MAX_PATH = 255


@dataclass(frozen=True, slots=True)
class RegistryPath:
    """The host and path under which a registry has images; checked when it is created.

    Raises:
        RegistryError: A field breaks its rule; names both.
    """

    host: str
    project: str = ""
    repository: str = ""

    def __post_init__(self) -> None:
        _check_host(self.host)
        if self.is_google:
            _check_project(self.project)
        else:
            _check_path(self.project, "project")
        if self.location and self.host not in GCR_LOCATIONS:
            _check_repository(self.repository)
        elif self.host in GCR_LOCATIONS and self.repository:
            raise _invalid(
                "repository",
                self.repository,
                f"{self.host} has no repositories",
                "Leave it empty, or use a pkg.dev host",
            )
        else:
            _check_path(self.repository, "repository")

    @property
    def is_google(self) -> bool:
        """Whether the host is one of Google's registries, which take Google access tokens."""
        return bool(self.location)

    @property
    def location(self) -> str:
        """The location of the Artifact Registry repository; empty for other hosts."""
        match = _PKG_DEV.fullmatch(self.host)
        return match[1] if match else GCR_LOCATIONS.get(self.host, "")

    def image_path(self, image: str) -> str:
        """The path of an image below the host.

        Raises:
            RegistryError: The name breaks a rule; for capitals it proposes the name in lowercase.
        """
        if image != image.lower():
            raise _invalid("image", image, "image names have no capitals", f"Call it {image.lower()}")
        if not image:
            raise _invalid("image", image, "it is empty", "Name the image")
        _check_path(image, "image")
        # A domain-scoped project id has a colon where image names have a slash.
        path = "/".join(part for part in (self.project.replace(":", "/"), self.repository, image) if part)
        if len(path) > _MAX_PATH:
            raise _invalid("image", image, f"the whole name has {len(path)} characters, {_MAX_PATH} fit", "Shorten it")
        return path


@dataclass(frozen=True, slots=True)
class ArtifactRepository:
    """An Artifact Registry repository as `gcloud artifacts repositories` names it."""

    project: str
    location: str
    name: str

    @classmethod
    def of(cls, host: str, path: str) -> ArtifactRepository | None:
        """The repository of an image; None for other hosts.

        Args:
            host: The registry's host.
            path: The image's path below the host.
        """
        first, *rest = path.split("/")
        if "." in first and rest:  # a domain-scoped project id has a colon where image names have a slash
            first, rest = f"{first}:{rest[0]}", rest[1:]
        if host in GCR_LOCATIONS:
            return cls(first, GCR_LOCATIONS[host], host)
        match = _PKG_DEV.fullmatch(host)
        return cls(first, match[1], rest[0]) if match and rest else None


def _check_host(host: str) -> None:
    if "://" in host:
        raise _invalid(
            "host",
            host,
            "it is a URL",
            f"Write it without the scheme: {host.split('://')[1].split('/', maxsplit=1)[0]}",
        )
    name, slash, rest = host.partition("/")
    if slash:
        raise _invalid(
            "host", host, "it has a path", f"Write {name}, and put {rest.strip('/') or 'the rest'} into project"
        )
    if not _HOST.fullmatch(host) or int(host.partition(":")[2] or 1) not in range(1, 65536):
        raise _invalid(
            "host", host, "it is not a host name", "Write HOST or HOST:PORT, such as europe-west4-docker.pkg.dev"
        )
    if "." not in name and ":" not in name and name != "localhost":
        # Docker reads the first part of such a name as a folder at Docker Hub.
        raise _invalid(
            "host", host, "it has neither a dot nor a port", "Write the whole host, such as registry.example.com"
        )
    if host.endswith("gcr.io") and host not in GCR_LOCATIONS:
        raise _invalid("host", host, "there is no such registry", f"Write one of {', '.join(GCR_LOCATIONS)}")
    if host.endswith("pkg.dev") and not _PKG_DEV.fullmatch(host):
        region = re.sub(r"(-(docker|python|npm|maven|apt|yum|go|generic))?\.?pkg\.dev$", "", host)
        proposal = f"{region or 'europe-west4'}-docker.pkg.dev"
        raise _invalid(
            "host", host, "it is not a Docker host of Artifact Registry", f"Write REGION-docker.pkg.dev: {proposal}"
        )


def _check_project(project: str) -> None:
    domain, _, name = project.rpartition(":")
    if not project:
        raise _invalid("project", project, "it is empty", "Give the Google Cloud project's id")
    if project.isdigit():
        raise _invalid("project", project, "that is its number", "Give its id: gcloud projects list shows both")
    if not _PROJECT.fullmatch(name) or (domain and not _DOMAIN.fullmatch(domain)):
        raise _invalid(
            "project",
            project,
            "a project id has 6 to 30 lowercase letters, digits and hyphens, a letter first, no hyphen last",
            "Give the project's id (not its display name): gcloud projects list",
        )


def _check_repository(repository: str) -> None:
    if not repository:
        raise _invalid(
            "repository",
            repository,
            "it is empty",
            "Name the Artifact Registry repository: gcloud artifacts repositories list",
        )
    if not _REPOSITORY.fullmatch(repository):
        raise _invalid(
            "repository",
            repository,
            "a repository has up to 63 lowercase letters, digits and hyphens, a letter first, no hyphen last",
            "Give its name as gcloud artifacts repositories list shows it",
        )


def _check_path(path: str, field: str) -> None:
    """Checks a path that may be empty: parts between slashes by the rule of every registry."""
    for part in path.split("/") if path else ():
        if not _COMPONENT.fullmatch(part):
            rule = "each part has lowercase letters and digits, with single `.`, `_`, `__` or hyphens between them"
            raise _invalid(field, path, rule, f"Write it like {_nearest(path)}")


def _nearest(path: str) -> str:
    parts = (re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in path.split("/"))
    return "/".join(part for part in parts if part) or "my-image"


def _invalid(field: str, value: str, rule: str, next_step: str) -> RegistryError:
    return RegistryError(f"{field} {value!r} can't be used: {rule}", next_step=next_step)
