"""Image names in Google's registries, and the command that grants a permission there."""

from __future__ import annotations

import pytest
from prefect_vertex_training.images.registry.artifact_registry import ArtifactRepository
from prefect_vertex_training.images.registry.errors import permission_hint

BINDING = "gcloud artifacts repositories add-iam-policy-binding"
WRITER = "--role roles/artifactregistry.writer --member"
TRAINER = "trainer@my-project.iam.gserviceaccount.com"


@pytest.mark.parametrize(
    ("host", "path", "repository"),
    [
        ("gcr.io", "my-project/digits", ("my-project", "us", "gcr.io")),
        ("eu.gcr.io", "my-project/a/b", ("my-project", "europe", "eu.gcr.io")),
        ("asia.gcr.io", "example.com/my-project/digits", ("example.com:my-project", "asia", "asia.gcr.io")),
        ("europe-west4-docker.pkg.dev", "my-project/training/digits", ("my-project", "europe-west4", "training")),
        ("us-docker.pkg.dev", "example.com/my-project/training/x", ("example.com:my-project", "us", "training")),
    ],
)
def test_every_google_name_belongs_to_a_repository(host: str, path: str, repository: tuple[str, str, str]) -> None:
    """Artifact Registry serves gcr.io's names from repositories that are called like the hosts."""
    assert ArtifactRepository.of(host, path) == ArtifactRepository(*repository)


def test_other_hosts_have_none() -> None:
    """Other registries have no gcloud command."""
    assert ArtifactRepository.of("registry.example.com", "a/b") is None


@pytest.mark.parametrize(
    ("host", "path", "account", "command"),
    [
        (
            "europe-west4-docker.pkg.dev",
            "my-project/training/digits",
            TRAINER,
            f"{BINDING} training --project my-project --location europe-west4 {WRITER} serviceAccount:{TRAINER}",
        ),
        (
            "gcr.io",
            "my-project/digits",
            "ann@example.com",
            f"{BINDING} gcr.io --project my-project --location us {WRITER} user:ann@example.com",
        ),
        ("gcr.io", "my-project/digits", "oauth2accesstoken", "--member user:YOUR_ACCOUNT"),
        ("127.0.0.1:5000", "digits", "trainer", "docker login 127.0.0.1:5000"),
    ],
)
def test_the_command_that_grants_the_permission(host: str, path: str, account: str, command: str) -> None:
    """The command names the repository and the account that was refused."""
    assert command in permission_hint(host, path, account)
