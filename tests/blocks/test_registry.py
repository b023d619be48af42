"""The ContainerRegistry block: image names, their rules, and credentials."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fixtures.images.stored_images import make_base
from prefect.testing.standard_test_suites import BlockStandardTestSuite
from prefect_docker.credentials import DockerRegistryCredentials
from prefect_gcp.credentials import GcpCredentials
from prefect_vertex_training.blocks.registry import ContainerRegistry
from prefect_vertex_training.core.errors import RegistryDenied, RegistryError, RegistryUnavailable
from prefect_vertex_training.images.base.resolve import resolve_base
from prefect_vertex_training.images.oci.reference import Reference
from pydantic import ValidationError


class TestStandard(BlockStandardTestSuite):
    """Prefect's own conventions for blocks."""

    @pytest.fixture
    def block(self) -> type[ContainerRegistry]:
        """The block class."""
        return ContainerRegistry

    def test_has_a_valid_image(self, block: type[ContainerRegistry]) -> None:
        """The logo is one that Prefect's own collections use; Prefect's test would fetch it from the internet."""
        from prefect_docker.host import DockerHost

        assert block._logo_url == DockerHost._logo_url


@pytest.mark.parametrize(
    ("host", "project", "repository", "name"),
    [
        ("gcr.io", "my-project", "", "gcr.io/my-project/digits"),
        ("us.gcr.io", "my-project", "", "us.gcr.io/my-project/digits"),
        ("eu.gcr.io", "my-project", "", "eu.gcr.io/my-project/digits"),
        ("asia.gcr.io", "example.com:my-project", "", "asia.gcr.io/example.com/my-project/digits"),
        (
            "europe-west4-docker.pkg.dev",
            "my-project",
            "training",
            "europe-west4-docker.pkg.dev/my-project/training/digits",
        ),
        ("us-docker.pkg.dev", "my-project", "training", "us-docker.pkg.dev/my-project/training/digits"),
        ("registry.example.com:5000", "", "", "registry.example.com:5000/digits"),
        ("registry.example.com", "team", "", "registry.example.com/team/digits"),
        ("127.0.0.1:5000", "team", "models", "127.0.0.1:5000/team/models/digits"),
        ("localhost", "", "a/b", "localhost/a/b/digits"),
    ],
)
def test_names(host: str, project: str, repository: str, name: str) -> None:
    """Each kind of registry has its own form of name."""
    registry = ContainerRegistry(host=host, project=project, repository=repository)

    assert str(registry.image("digits")) == name


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"host": "https://gcr.io", "project": "my-project"}, "Write it without the scheme: gcr.io"),
        ({"host": "gcr.io/my-project"}, "Write gcr.io, and put my-project into project"),
        ({"host": "my registry"}, "not a host"),
        ({"host": "x.example.com:99999"}, "not a host"),
        ({"host": "registry"}, "neither a dot nor a port"),
        ({"host": ""}, "not a host"),
        ({"host": "europe.gcr.io", "project": "my-project"}, "Write one of gcr.io, us.gcr.io, eu.gcr.io, asia.gcr.io"),
        (
            {"host": "europe-west4.pkg.dev", "project": "my-project"},
            "Write REGION-docker.pkg.dev: europe-west4-docker.pkg.dev",
        ),
        ({"host": "us-python.pkg.dev", "project": "my-project"}, "Write REGION-docker.pkg.dev: us-docker.pkg.dev"),
        ({"host": "gcr.io"}, "Give the Google Cloud project's id"),
        ({"host": "gcr.io", "project": "123456789"}, "that is its number"),
        ({"host": "gcr.io", "project": "My Project"}, "6 to 30 lowercase letters"),
        ({"host": "gcr.io", "project": "abcde"}, "6 to 30 lowercase letters"),
        ({"host": "gcr.io", "project": "a" * 31}, "6 to 30 lowercase letters"),
        ({"host": "gcr.io", "project": "my-project-"}, "no hyphen last"),
        ({"host": "gcr.io", "project": "no domain:my-project"}, "6 to 30 lowercase letters"),
        ({"host": "gcr.io", "project": "my-project", "repository": "x"}, "gcr.io has no repositories"),
        ({"host": "us-docker.pkg.dev", "project": "my-project"}, "Name the Artifact Registry repository"),
        ({"host": "us-docker.pkg.dev", "project": "my-project", "repository": "1x"}, "a letter first"),
        ({"host": "us-docker.pkg.dev", "project": "my-project", "repository": "my_repo"}, "up to 63 lowercase letters"),
        ({"host": "x.example.com", "project": "Team A"}, "Write it like team-a"),
        ({"host": "x.example.com", "repository": "a//b"}, "Write it like a/b"),
    ],
)
def test_malformed_paths(fields: dict[str, str], says: str) -> None:
    """A host, project or repository that breaks a rule is refused by that rule when the block is made."""
    with pytest.raises(ValidationError) as caught:
        ContainerRegistry(**fields)

    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("MyModel", "Call it mymodel"),
        ("my model", "Write it like my-model"),
        ("model-", "Write it like model"),
        ("", "Name the image"),
        ("x" * 260, "255 fit"),
        ("модель", "Write it like my-image"),
    ],
)
def test_malformed_images(name: str, says: str) -> None:
    """An image's name is checked before anything is built; capitals get a proposal."""
    registry = ContainerRegistry(host="gcr.io", project="my-project")

    with pytest.raises(RegistryError) as caught:
        registry.image(name)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_password_for_its_host_only() -> None:
    """A password for another registry is refused; Docker Hub's names count as one registry."""
    password = DockerRegistryCredentials(username="u", password="p", registry_url="https://a.example.com/v2/")

    assert ContainerRegistry(host="a.example.com", credentials=password).get_credentials().basic() == "Basic dTpw"
    with pytest.raises(ValidationError, match=r"their password is for a\.example\.com"):
        ContainerRegistry(host="b.example.com", credentials=password)
    hub = DockerRegistryCredentials(username="u", password="p", registry_url="index.docker.io")
    assert ContainerRegistry(host="docker.io", project="u", credentials=hub).get_credentials().username == "u"


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "registry-1.docker.io", "Docker.IO:443"])
def test_docker_hub_by_any_name(host: str) -> None:
    """The block's password is used for a private base under each of Docker Hub's names, and images have one name."""
    password = DockerRegistryCredentials(username="u", password="p", registry_url="https://index.docker.io/v1/")
    registry = ContainerRegistry(host=host, project="u", credentials=password)

    assert str(registry.image("digits")) == "docker.io/u/digits"
    for base in ("docker.io/u/base", "index.docker.io/u/base:1", "registry-1.docker.io/u/base", "u/base"):
        found = registry.base_credentials()(Reference.parse(base).host)
        assert found is not None
        assert found.username == "u"


def test_private_base_by_another_spelling(docker_registry, tmp_path) -> None:
    """A base in the block's own registry is read with the block's password, however the host is spelled."""
    port = docker_registry.host.rpartition(":")[2]
    password = DockerRegistryCredentials(
        username=docker_registry.username, password=docker_registry.password, registry_url=f"localhost:{port}"
    )
    registry = ContainerRegistry(host=f"LocalHost:{port}", project="team", credentials=password)
    digest, _ = make_base(registry.target("base"), "usr/bin/python3.11")
    base = resolve_base(
        f"LOCALHOST:{port}/team/base:v1", cache=tmp_path, python="3.11", credentials=registry.base_credentials()
    )

    assert base.digest == digest
    assert base.contents.python == "/usr/bin/python3.11"


def test_docker_login_of_the_machine(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials the machine's docker login is used, else anonymous access."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    registry = ContainerRegistry(host="registry.example.com")

    assert registry.get_credentials() is None
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"registry.example.com": {"auth": "dTpw"}}}))
    assert registry.get_credentials().username == "u"
    assert registry.base_credentials()("registry.example.com").username == "u"
    assert registry.base_credentials()("other.example.com") is None


class TokenServer:
    """The part of Google's token service that a service account needs."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, Any]]] = []
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked += 1
                status, body = outer.answers.pop(0)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_: object) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/token"


@pytest.fixture
def token_server() -> Iterator[TokenServer]:
    """A running one, on the loopback."""
    server = TokenServer()
    thread = threading.Thread(target=server.server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.server.shutdown()
    server.server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def private_key() -> str:
    """Of a service account."""
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture
def google(token_server: TokenServer, private_key: str) -> GcpCredentials:
    """A service account whose tokens come from the loopback."""
    return GcpCredentials(
        service_account_info={
            "type": "service_account",
            "project_id": "my-project",
            "private_key_id": "1",
            "private_key": private_key,
            "client_email": "trainer@my-project.iam.gserviceaccount.com",
            "token_uri": token_server.url,
        }
    )


def test_google_token(google: GcpCredentials, token_server: TokenServer) -> None:
    """A short-lived token is the password of oauth2accesstoken; it is asked for again when it has run out."""
    token_server.answers = [
        (200, {"access_token": "first", "expires_in": 3599}),
        (200, {"access_token": "second", "expires_in": 3599}),
    ]
    registry = ContainerRegistry(host="gcr.io", project="my-project", credentials=google)

    credentials = registry.get_credentials()

    assert token_server.asked == 0
    assert credentials.username == "oauth2accesstoken"
    assert credentials.account_name == "trainer@my-project.iam.gserviceaccount.com"
    assert [credentials.password(), credentials.password()] == ["first", "first"]
    assert token_server.asked == 1
    assert registry.get_credentials().password() == "second"
    assert "first" not in repr(credentials)


def test_google_refuses(google: GcpCredentials, token_server: TokenServer) -> None:
    """A revoked key stops at once with the account and the next step."""
    token_server.answers = [(400, {"error": "invalid_grant", "error_description": "account not found"})]
    credentials = ContainerRegistry(host="gcr.io", project="my-project", credentials=google).get_credentials()

    with pytest.raises(RegistryDenied, match=r"trainer@my-project.*gcloud auth application-default login") as caught:
        credentials.password()
    assert not caught.value.transient


def test_google_is_away(google: GcpCredentials, token_server: TokenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer from the token service is transient."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    token_server.server.server_close()
    credentials = ContainerRegistry(host="gcr.io", project="my-project", credentials=google).get_credentials()

    with pytest.raises(RegistryUnavailable):
        credentials.password()


def test_google_token_stays_at_google(google: GcpCredentials) -> None:
    """A Google token isn't sent to a host that isn't Google's."""
    with pytest.raises(ValidationError, match=r"must not go to registry.example.com"):
        ContainerRegistry(host="registry.example.com", credentials=google)


def test_saved_and_loaded(prefect_server: str, google: GcpCredentials) -> None:
    """A saved block comes back with the right kind of credentials, and the form offers both kinds."""
    password = DockerRegistryCredentials(username="u", password="p", registry_url="registry.example.com")
    ContainerRegistry(host="registry.example.com", credentials=password).save("with-password")
    google.save("google-account")
    ContainerRegistry(
        host="us-docker.pkg.dev",
        project="my-project",
        repository="training",
        credentials=GcpCredentials.load("google-account"),
    ).save("with-google")

    assert ContainerRegistry.load("with-password").credentials.password.get_secret_value() == "p"
    loaded = ContainerRegistry.load("with-google")
    assert isinstance(loaded.credentials, GcpCredentials)
    assert str(loaded.image("digits")) == "us-docker.pkg.dev/my-project/training/digits"
    references = ContainerRegistry.model_json_schema()["block_schema_references"]["credentials"]
    assert {entry["block_type_slug"] for entry in references} == {"gcp-credentials", "docker-registry-credentials"}


def test_target_talks_to_that_registry(docker_registry) -> None:
    """The target sends requests to the block's host with the block's password."""
    password = DockerRegistryCredentials(
        username=docker_registry.username, password=docker_registry.password, registry_url=docker_registry.host
    )
    target = ContainerRegistry(host=docker_registry.host, project="team", credentials=password).target("digits")

    target.check_push()

    assert target.head_manifest("latest") is None
    assert urlsplit(f"//{target.reference('sha256:0')}").path == "/team/digits@sha256:0"


def federation(tmp_path: Path, token_server: TokenServer) -> dict[str, Any]:
    """The file of workload identity federation: a token of another identity, in a file, changed for one of Google's."""
    (tmp_path / "subject").write_text("subject-token")
    return {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": token_server.url,
        "credential_source": {"file": str(tmp_path / "subject")},
    }


def test_workload_identity(token_server: TokenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As this machine's own login: of a block without a key, and without a block. prefect-gcp's keys are others."""
    (tmp_path / "adc.json").write_text(json.dumps(federation(tmp_path, token_server)))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "adc.json"))
    answer = (200, {"access_token": "federated", "expires_in": 3599, "issued_token_type": "x", "token_type": "Bearer"})
    token_server.answers = [answer] * 2
    place = {"host": "gcr.io", "project": "my-project"}
    for credentials in (GcpCredentials(project="my-project"), None):
        found = ContainerRegistry(**place, credentials=credentials).get_credentials()
        assert found is not None
        assert found.password() == "federated"
    assert ContainerRegistry(host="registry.example.com").get_credentials() is None


def test_impersonation(google: GcpCredentials, token_server: TokenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account's token is changed for one of the account that pushes, which messages name."""
    from google.auth import impersonated_credentials

    asked = token_server.url.replace("/token", "/impersonate/{}")
    monkeypatch.setattr(impersonated_credentials.iam, "_IAM_ENDPOINT", asked, raising=False)
    token_server.answers = [
        (200, {"access_token": "own", "expires_in": 3599}),
        (200, {"accessToken": "theirs", "expireTime": "2099-01-01T00:00:00Z"}),
    ]
    registry = ContainerRegistry(
        host="gcr.io", project="my-project", credentials=google, impersonate="p@my-project.iam.gserviceaccount.com"
    )
    found = registry.get_credentials()
    assert found.account_name == "p@my-project.iam.gserviceaccount.com"
    assert found.password() == "theirs"
    with pytest.raises(ValidationError, match="takes no service account"):
        ContainerRegistry(host="registry.example.com", impersonate="p@x")


def test_tags_that_move() -> None:
    """A repository with immutable tags gets none; a name that is no tag is refused."""
    assert ContainerRegistry(host="a.example.com").moving_tags == ["latest"]
    assert ContainerRegistry(host="a.example.com", moving_tags=[]).moving_tags == []
    with pytest.raises(ValidationError, match="is no tag"):
        ContainerRegistry(host="a.example.com", moving_tags=["a b"])
