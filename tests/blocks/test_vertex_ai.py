"""The VertexAI block: what it accepts, what it says when it doesn't, and where its connection leads."""

from __future__ import annotations

import pytest
from prefect.blocks.core import Block
from prefect.testing.standard_test_suites import BlockStandardTestSuite
from prefect_gcp.credentials import GcpCredentials
from prefect_vertex_training.blocks.training_job import VertexTrainingJob
from prefect_vertex_training.blocks.vertex_ai import VertexAI
from pydantic import SecretStr, ValidationError

GOOD = {"project": "my-project-123", "region": "europe-west4", "bucket": "models"}


@pytest.mark.parametrize("block", [VertexAI, VertexTrainingJob])
class TestConventions(BlockStandardTestSuite):
    """Prefect's own checks of a block's description, fields, links and example."""

    @pytest.fixture
    def block(self, block: type[Block]) -> type[Block]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Each of our blocks in turn."""
        return block

    test_has_a_valid_image = None  # pyright: ignore[reportAssignmentType] - it fetches the logo from the network


def test_the_smallest_block() -> None:
    """Project, region and bucket are enough; credentials are then the machine's own."""
    connection = VertexAI(**GOOD).connection()

    assert connection.parent == "projects/my-project-123/locations/europe-west4"
    assert (connection.bucket, connection.settle, connection.poll) == ("models", 45, 5)
    assert not connection.endpoint.local


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("project", "My Project", "project 'My Project' is not valid"),
        ("project", "123456789", "not its name or number"),
        ("project", "", "project '' is not valid"),
        ("region", "europe-west4-a", "is a zone: write europe-west4"),
        ("region", "Europe", "a region such as europe-west4"),
        ("bucket", "gs://models/folder", "a bucket's name without a folder"),
        ("bucket", "Models", "bucket 'Models' is not valid"),
        ("service_account", "trainer", "a service account's e-mail address, as NAME@PROJECT.iam.gserviceaccount.com"),
        ("network", "default", "projects/PROJECT_NUMBER/global/networks/NAME"),
        ("network", "projects/my-project/global/networks/default", "with the project's number"),
        ("endpoint", "ftp://x", "host:port"),
        ("endpoint", "127.0.0.1:80; rm", "host:port"),
    ],
)
def test_malformed_parts_are_named_with_what_to_write(field: str, value: str, said: str) -> None:
    """Each field says what it wants."""
    with pytest.raises(ValidationError) as caught:
        VertexAI(**{**GOOD, field: value})

    (error,) = caught.value.errors()
    assert (field,) == error["loc"]
    assert said in error["msg"]


def test_missing_parts_are_named() -> None:
    """All at once."""
    with pytest.raises(ValidationError) as caught:
        VertexAI()  # pyright: ignore[reportCallIssue]

    assert {("project",), ("region",), ("bucket",)} == {error["loc"] for error in caught.value.errors()}


def test_what_people_copy_from_the_console_is_understood() -> None:
    """A bucket as gs://NAME/, a domain-scoped project."""
    block = VertexAI(project="example.com:my-project", region="us-central1", bucket="gs://models/")

    assert block.bucket == "models"


@pytest.mark.parametrize("endpoint", ["unix:/run/api.sock", "127.0.0.1:4321", "http://localhost:4321/", "http://ci:80"])
def test_an_endpoint_on_this_machine_needs_no_credentials(endpoint: str) -> None:
    """Plain text, without asking Google who is calling."""
    connection = VertexAI(**GOOD, endpoint=endpoint, token=SecretStr("t")).connection()

    assert connection.endpoint.local
    assert connection.jobs.transport.kind == "grpc"


def test_a_private_endpoint_is_spoken_to_with_tls() -> None:
    """Anything that is not this machine keeps Google's credentials and TLS."""
    connection = VertexAI(**GOOD, endpoint="https://europe-west4-aiplatform-p.googleapis.com").connection()

    assert not connection.endpoint.local
    assert connection.endpoint.address == "europe-west4-aiplatform-p.googleapis.com"  # pyright: ignore[reportAttributeAccessIssue]


def test_the_accounts_own_name_is_used_in_messages(service_account_key: dict[str, str]) -> None:
    """With a service account's key the messages can name who lacks a permission; nothing is sent for that."""
    block = VertexAI(**GOOD, credentials=GcpCredentials(service_account_info=service_account_key))  # pyright: ignore[reportArgumentType]
    connection = block.connection()

    assert connection.endpoint.account == "serviceAccount:ci@my-project-123.iam.gserviceaccount.com"
    assert connection.jobs.api_endpoint == "europe-west4-aiplatform.googleapis.com"
    assert connection.logs.api_endpoint == "logging.googleapis.com"


def test_secrets_never_show(service_account_key: dict[str, str]) -> None:
    """Neither the key nor the token is in what the block prints."""
    credentials = GcpCredentials(service_account_info=service_account_key)  # pyright: ignore[reportArgumentType]
    said = repr(VertexAI(**GOOD, credentials=credentials, token=SecretStr("hush")))

    assert "hush" not in said
    assert "PRIVATE KEY" not in said


@pytest.fixture(scope="session")
def service_account_key() -> dict[str, str]:
    """A key as Google's console gives it, made here."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = rsa.generate_private_key(65537, 2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "type": "service_account",
        "project_id": "my-project-123",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": "ci@my-project-123.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    }


def test_the_settle_window_and_the_back_off_are_settings() -> None:
    """What the block says holds for every submission through it; without, the cloud's own."""
    usual, chosen = VertexAI(**GOOD).connection().pace, VertexAI(**GOOD, settle_seconds=90, backoff_seconds=5)  # pyright: ignore[reportArgumentType]

    assert (usual.settle, usual.backoff) == (45, 20)
    assert (chosen.connection().pace.settle, chosen.connection().pace.backoff) == (90, 5)
