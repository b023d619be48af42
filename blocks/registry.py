"""The container registry block: where images are pushed, and with which credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from prefect.blocks.core import Block
from prefect_docker.credentials import DockerRegistryCredentials
from prefect_gcp.credentials import GcpCredentials
from pydantic import Field, model_validator

from ..core.background.imports import one_importer
from ..core.errors import RegistryDenied, RegistryError, RegistryUnavailable
from ..core.network.google_login import machine_login
from ..images.oci.reference import TAG, Reference
from ..images.oci.registry_host import canonical_host, host_of
from ..images.registry.artifact_registry import RegistryPath
from ..images.registry.auth import Credentials, CredentialsFor
from ..images.registry.logins import docker_login
from .form_fields import Plain

if TYPE_CHECKING:
    from ..images.registry.repository import Repository

LOGO = "https://cdn.sanity.io/images/3ugk85nk/production/14a315b79990200db7341e42553e23650b34bb96-250x250.png"

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class ContainerRegistry(Block):
    """A container registry, and the repository in it for images of training code.

    Artifact Registry is the recommended one, in the region in which jobs run. The names of Container Registry work
    too: `gcr.io`, `us.gcr.io`, `eu.gcr.io` and `asia.gcr.io`, without a repository; Container Registry itself was shut
    down in 2025, and Artifact Registry serves those names now. Any other registry works, too.

    Example:
        Load a saved registry and see what an image is called in it:
        ```python
        from prefect_vertex_training.blocks.registry import ContainerRegistry

        registry = ContainerRegistry.load("BLOCK_NAME")
        print(registry.image("my-model"))
        ```
    """

    _block_type_name = "Container Registry for Training"
    _block_type_slug = "container-registry-for-training"
    _logo_url = LOGO  # pyright: ignore[reportAssignmentType]
    _documentation_url = "https://cloud.google.com/artifact-registry/docs/docker/names"  # pyright: ignore[reportAssignmentType]

    host: str = Field(
        title="Host",
        description="The registry's host: REGION-docker.pkg.dev, gcr.io and its regions, or any other with its port.",
        examples=["europe-west4-docker.pkg.dev"],
    )
    project: str = Field(
        title="Project",
        default="",
        description="The Google Cloud project's id; in other registries a folder, or empty.",
        examples=["my-project-123"],
    )
    repository: str = Field(
        title="Repository",
        default="",
        description="The Artifact Registry repository; empty for gcr.io; in other registries a folder, or empty.",
        examples=["training"],
    )
    # In this order: GcpCredentials would accept a saved user and password too, and use this machine's Google login.
    credentials: Annotated[DockerRegistryCredentials | GcpCredentials | None, Plain()] = Field(
        default=None,
        union_mode="left_to_right",
        title="Credentials",
        description="The account that pushes. Default: this machine's docker or podman login; for Google's registries "
        "also its Google login; else anonymous access.",
    )
    impersonate: str = Field(
        title="Service account to impersonate",
        default="",
        pattern=r"^$|^[^@\s]+@[^@\s]+$",
        description="A service account that pushes in place of the Google account, which needs the role "
        "roles/iam.serviceAccountTokenCreator on it.",
        examples=["pusher@my-project-123.iam.gserviceaccount.com"],
    )
    moving_tags: list[str] = Field(
        title="Tags that move",
        default=["latest"],
        description="Tags that every push moves to its image, for people. Leave it empty for a repository with "
        "immutable tags; images are found by their contents and named by digest anyway.",
    )

    @model_validator(mode="after")
    def _check(self) -> ContainerRegistry:
        try:
            path = self._path()
        except RegistryError as error:
            raise ValueError(str(error)) from error
        if isinstance(self.credentials, GcpCredentials) and not path.is_google:
            raise ValueError(
                f"credentials: a Google token must not go to {self.host}, which isn't Google's. "
                "Name DockerRegistryCredentials for it"
            )
        if self.impersonate and not path.is_google:
            raise ValueError(f"impersonate: {self.host} isn't Google's and takes no service account")
        if wrong := [tag for tag in self.moving_tags if not TAG.fullmatch(tag)]:
            raise ValueError(f"moving_tags: {wrong[0]!r} is no tag: 1 to 128 letters, digits, '_', '.', '-'")
        if isinstance(self.credentials, DockerRegistryCredentials):
            theirs = host_of(self.credentials.registry_url)
            if theirs != canonical_host(self.host):
                raise ValueError(f"credentials: their password is for {theirs}, not for {self.host}. Name others")
        return self

    def image(self, name: str) -> Reference:
        """The reference of an image in this registry, without tag and digest.

        Raises:
            RegistryError: The name breaks a rule; for capitals it proposes the name in lowercase.
        """
        return Reference(self.host, self._path().image_path(name))

    def target(self, name: str) -> Repository:
        """The repository of an image, used with the block's credentials; nothing is sent yet.

        Raises:
            RegistryError: As for `image`; or this machine's docker login can't be used.
        """
        from ..images.registry.repository import Repository

        return Repository(self.image(name), credentials=self.get_credentials())

    def get_credentials(self) -> Credentials | None:
        """The block's credentials, else this machine's docker login for the registry; None for anonymous access.

        Raises:
            RegistryError: This machine's docker login can't be used.
            RegistryDenied: No Google credentials were found.
        """
        if isinstance(self.credentials, DockerRegistryCredentials):
            return Credentials.fixed(self.credentials.username, self.credentials.password.get_secret_value())
        if isinstance(self.credentials, GcpCredentials) or self.impersonate:
            return _google(self.credentials, self.impersonate)
        if found := docker_login(self.host):
            return found
        return _machines_google_login() if self._path().is_google else None

    def base_credentials(self) -> CredentialsFor:
        """Credentials for base images: the block's for this registry, docker's login for any other."""
        ours = canonical_host(self.host)
        return lambda name: self.get_credentials() if host_of(name) == ours else docker_login(name)

    def _path(self) -> RegistryPath:
        return RegistryPath(canonical_host(self.host), self.project, self.repository)


def _google(block: GcpCredentials | None, impersonate: str) -> Credentials:
    """Credentials for Google's registries: an access token as the password of `oauth2accesstoken`.

    https://cloud.google.com/artifact-registry/docs/docker/authentication#token

    Raises:
        RegistryDenied: The block's key can't be used, or this machine has no Google login.
    """
    with one_importer():
        from google.auth.exceptions import GoogleAuthError

    try:
        source: Any = _account_of(block)
    except (GoogleAuthError, OSError, ValueError) as error:
        raise RegistryDenied(
            f"no Google credentials: {' '.join(str(error).split())}",
            where="the GcpCredentials block" if block else "application default credentials",
            next_step="Run gcloud auth application-default login, or fix the GcpCredentials block",
        ) from error
    if impersonate:
        from google.auth.impersonated_credentials import Credentials as Impersonated

        source = Impersonated(source, target_principal=impersonate, target_scopes=[_SCOPE])
    account = impersonate or getattr(source, "service_account_email", "") or getattr(source, "account", "")
    return Credentials("oauth2accesstoken", lambda: _fresh_token(source, account), account or "")


def _account_of(block: GcpCredentials | None) -> Any:  # noqa: ANN401 - google.auth has no common typed interface
    """The account of the block's key, or this machine's login: of a person, a service account, or workload identity."""
    from google.auth.credentials import with_scopes_if_required

    has_key = block and (block.service_account_info or block.service_account_file)
    # Without scopes at first: with them, google.auth would ask the cloud for the name of the project.
    source = block.get_credentials_from_service_account() if block and has_key else machine_login()
    return with_scopes_if_required(source, [_SCOPE])


def _machines_google_login() -> Credentials | None:
    """This machine's Google login, as on a worker with workload identity; None if it has none."""
    try:
        return _google(None, "")
    except RegistryDenied:
        return None


def _fresh_token(source: Any, account: str) -> str:  # noqa: ANN401 - google.auth has no common typed interface
    """An access token that is valid for some minutes at least; Google's class caches it for its hour."""
    from google.auth.exceptions import RefreshError, TransportError
    from google.auth.transport.requests import Request

    try:
        if not source.valid:
            source.refresh(Request())
    except TransportError as error:
        raise RegistryUnavailable(
            f"Google's token service gave no answer: {error}", where=account, next_step="Check your network"
        ) from error
    except RefreshError as error:
        raise RegistryDenied(
            f"Google refuses a token: {error.args[0] if error.args else error}",
            where=account or "application default credentials",
            next_step="Run gcloud auth application-default login, or fix the GcpCredentials block",
        ) from error
    return str(source.token)
