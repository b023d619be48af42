"""Registry credentials: docker's login, tokens, and the servers that neither is ever sent to."""

from __future__ import annotations

import base64
import io
import json
import traceback
from pathlib import Path

import pytest
from fixtures.images.registry_server import RegistryServer
from prefect_vertex_training.core.errors import RegistryDenied, RegistryError
from prefect_vertex_training.images.oci.image_types import BuiltImage
from prefect_vertex_training.images.oci.layout import OciLayout
from prefect_vertex_training.images.oci.reference import Reference
from prefect_vertex_training.images.push import push
from prefect_vertex_training.images.registry import logins
from prefect_vertex_training.images.registry.auth import Challenge, Credentials, TokenCache
from prefect_vertex_training.images.registry.logins import docker_login
from prefect_vertex_training.images.registry.repository import Repository
from prefect_vertex_training.images.registry.transport import Request, Transport
from urllib3 import HTTPResponse

HELPER = """#!/bin/sh
read host
echo "{\\"ServerURL\\": \\"$host\\", \\"Username\\": \\"of-$host\\", \\"Secret\\": \\"hush\\"}"
"""


def write(folder: Path, **settings: object) -> Path:
    """Writes docker's settings; returns their folder."""
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


def test_a_password_in_dockers_file(tmp_path: Path) -> None:
    """It is used for its host only."""
    auth = base64.b64encode(b"me:pass:word").decode()
    config = write(tmp_path, auths={"gcr.io": {"auth": auth}})
    found = docker_login("gcr.io", config=config)

    assert found is not None
    assert found.pair() == {"username": "me", "password": "pass:word"}
    assert docker_login("eu.gcr.io", config=config) is None
    assert docker_login("gcr.io", config=tmp_path / "none") is None


HUB_HOSTS = ("docker.io", "index.docker.io", "registry-1.docker.io", "Docker.io", "index.docker.io:443")
HUB_KEYS = (
    "https://index.docker.io/v1/",
    "https://index.docker.io/v1",
    "index.docker.io",
    "docker.io",
    "registry-1.docker.io",
)


@pytest.mark.parametrize("host", HUB_HOSTS)
@pytest.mark.parametrize("key", HUB_KEYS)
def test_docker_hub_has_one_login(host: str, key: str, tmp_path: Path) -> None:
    """Under whichever name docker kept it, and by whichever name the registry is asked for."""
    auth = base64.b64encode(b"me:hub").decode()
    found = docker_login(host, config=write(tmp_path, auths={key: {"auth": auth}}))

    assert found is not None
    assert found.pair() == {"username": "me", "password": "hub"}


def test_the_login_that_docker_uses_comes_first(tmp_path: Path) -> None:
    """Docker keeps tokens beside its login, which are no logins for the registry; older keys may be left over."""
    auths = {
        key: {"auth": base64.b64encode(f"{name}:x".encode()).decode()}
        for key, name in {
            "docker.io": "old",
            "https://index.docker.io/v1/access-token": "token",
            "https://index.docker.io/v1/": "me",
        }.items()
    }
    found = docker_login("registry-1.docker.io", config=write(tmp_path, auths=auths))
    assert found is not None
    assert found.username == "me"

    del auths["https://index.docker.io/v1/"], auths["docker.io"]
    assert docker_login("docker.io", config=write(tmp_path, auths=auths)) is None


@pytest.mark.parametrize(
    ("key", "host"),
    [
        ("registry.example.com", "registry.example.com:443"),
        ("registry.example.com:443", "registry.example.com"),
        ("https://Registry.example.com/v2/", "registry.EXAMPLE.com"),
        ("http://localhost:5000", "LOCALHOST:5000"),
    ],
)
def test_spellings_of_one_host_share_a_login(key: str, host: str, tmp_path: Path) -> None:
    """Case, scheme, and the port that the scheme implies don't matter."""
    auth = base64.b64encode(b"me:x").decode()

    assert docker_login(host, config=write(tmp_path, auths={key: {"auth": auth}})) is not None


@pytest.mark.parametrize("host", ["registry.example.com:5000", "example.com", "docker.io", "myhost"])
def test_a_login_is_for_its_registry_only(host: str, tmp_path: Path) -> None:
    """Another port, a parent domain and Docker Hub are other registries."""
    auth = base64.b64encode(b"me:x").decode()
    config = write(tmp_path, auths={"registry.example.com": {"auth": auth}, "myhost:443": {"auth": auth}})

    assert docker_login(host, config=config) is None


@pytest.mark.parametrize(
    "settings", [{"credHelpers": {"gcr.io": "test"}}, {"auths": {"gcr.io": {}}, "credsStore": "test"}]
)
def test_a_helper_program(settings: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A helper is called with docker's protocol, for one host or for all."""
    program = tmp_path / "docker-credential-test"
    program.write_text(HELPER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = docker_login("gcr.io", config=write(tmp_path, **settings))

    assert found is not None
    assert found.pair() == {"username": "of-gcr.io", "password": "hush"}


def test_logins_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each error is one line, without anything that may be a secret."""
    with pytest.raises(RegistryError, match="docker-credential-nowhere"):
        docker_login("gcr.io", config=write(tmp_path, credHelpers={"gcr.io": "nowhere"}))
    with pytest.raises(RegistryError, match="login in docker's settings can't be read"):
        docker_login("gcr.io", config=write(tmp_path, auths={"gcr.io": {"auth": "a"}}))
    program = tmp_path / "docker-credential-odd"
    program.write_text("#!/bin/sh\necho my-secret")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(RegistryError, match="gave an answer without a login") as caught:
        docker_login("gcr.io", config=write(tmp_path, credHelpers={"gcr.io": "odd"}))
    assert "my-secret" not in str(caught.value)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RegistryError, match="docker's settings can't be read"):
        docker_login("gcr.io", config=tmp_path)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("printf my-secret; exec sleep 600", r"didn't answer within 0\.2 seconds.*docker-credential-odd"),
        (r"printf '{\"Secret\": \"my-secret\377\"}'", "gave an answer without a login"),
    ],
    ids=["hangs", "not UTF-8"],
)
def test_a_helper_that_hangs_or_prints_no_text(
    script: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It's told apart from a missing one, and what it printed isn't kept in the error's chain."""
    monkeypatch.setattr(logins, "_HELPER_SECONDS", 0.2)
    program = tmp_path / "docker-credential-odd"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(RegistryError, match=message) as caught:
        docker_login("gcr.io", config=write(tmp_path, credHelpers={"gcr.io": "odd"}))

    assert "my-secret" not in str(caught.value)
    assert "my-secret" not in "".join(traceback.format_exception(caught.value))


def test_tokens_are_renewed_early() -> None:
    """A token is renewed shortly before it expires; one that was refused is not used again."""
    now = [0.0]
    tokens = TokenCache(lambda: now[0])
    tokens.put("scope", {"token": "t", "expires_in": 300})
    now[0] = 269
    assert tokens.get("scope") == "t"
    now[0] = 271
    assert tokens.get("scope") is None
    tokens.put("scope", {"access_token": "u"})
    tokens.drop("scope")
    assert tokens.get("scope") is None


def test_challenge() -> None:
    """As registries write it."""
    header = 'Bearer realm="https://a/token",service="a",scope="repository:x:pull,push"'

    assert Challenge.parse(header) == Challenge(
        "bearer", {"realm": "https://a/token", "service": "a", "scope": "repository:x:pull,push"}
    )


@pytest.mark.registry
def test_a_registry_with_a_password(image: BuiltImage, layout: OciLayout, docker_registry: RegistryServer) -> None:
    """The right password works; the error for a wrong one names the user and never the password."""
    reference = Reference.parse(f"{docker_registry.host}/auth/thing")
    wrong = Repository(reference, credentials=Credentials.fixed("mallory", "not-the-password"))
    with pytest.raises(RegistryDenied, match=r"refused mallory \(401\).*docker login") as caught:
        push(image, layout, wrong, tags=["tag"])
    assert "not-the-password" not in f"{caught.value}{caught.value.detail}{wrong.credentials!r}"
    assert docker_registry.digest(reference.repository, "tag") is None

    right = Credentials.fixed(docker_registry.username, docker_registry.password)
    push(image, layout, Repository(reference, credentials=right), tags=["tag"])
    assert docker_registry.digest(reference.repository, "tag") == image.digest


def test_credentials_go_to_their_registry_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload address on another host, or with plain HTTP, gets no credentials."""
    transport = Transport("registry.example", "x", Credentials.fixed("me", "secret"))
    sent: list[tuple[str, bool]] = []

    def request(_method: str, url: str, *, headers: dict[str, str], **_: object) -> HTTPResponse:
        sent.append((url, "Authorization" in headers))
        return HTTPResponse(io.BytesIO(), {"Content-Length": "0"}, 200, preload_content=False)

    monkeypatch.setattr(transport._pool, "request", request)
    urls = ("https://registry.example/a", "http://registry.example/a", "https://elsewhere.example/a")
    for url in urls:
        transport.send_once(Request("PUT", url, {}, {200}, body=b""))

    assert sent == list(zip(urls, (True, False, False), strict=True))


GUID = base64.b64encode(b"00000000-0000-0000-0000-000000000000:").decode()
TOKEN_HELPER = """#!/bin/sh
read host
[ "$host" = h.example ] && echo '{"ServerURL": "x", "Username": "<token>", "Secret": "R"}' || exit 1
"""


@pytest.mark.parametrize(
    ("settings", "username", "kind", "secret"),
    [
        ({"auths": {"h.example": {"auth": GUID, "identitytoken": "R"}}}, "", "identity", "R"),
        ({"auths": {"h.example": {"auth": "dTpw", "identitytoken": "R"}}}, "u", "identity", "R"),
        ({"auths": {"h.example": {"registrytoken": "T"}}}, "", "bearer", "T"),
        ({"auths": {"h.example": {"username": "u", "password": "p"}}}, "u", "password", "p"),
        ({"auths": {"https://h.example/v1/": {"auth": "dTpw"}}}, "u", "password", "p"),
        ({"auths": {"h.example/team": {"auth": "dTpw"}, "h.example": {"auth": "eDp5"}}}, "u", "password", "p"),
        ({"auths": {"h.example/other": {"auth": "dTpw"}, "h.example": {"auth": "eDp5"}}}, "x", "password", "y"),
        ({"credsStore": "token", "auths": {"h.example": {}}}, "", "identity", "R"),
        ({"credsStore": "token"}, "", "identity", "R"),
        ({"credsStore": "token", "auths": None, "credHelpers": None}, "", "identity", "R"),
        ({"credHelpers": {"h.example": "token"}, "auths": {"h.example": {"auth": "dTpw"}}}, "", "identity", "R"),
    ],
)
def test_every_form_of_a_login(
    settings: dict[str, object], username: str, kind: str, secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Passwords, identity tokens and registry tokens, in docker's file, podman's, or a helper without an entry."""
    program = tmp_path / "docker-credential-token"
    program.write_text(TOKEN_HELPER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = docker_login("h.example/team/thing", config=write(tmp_path, **settings))

    assert found is not None
    assert (found.username, found.kind, found.password()) == (username, kind, secret)
    assert "password=" not in repr(found)
    assert Credentials.of_pair(found.pair()).kind == kind


@pytest.mark.parametrize(
    "settings", [{"credsStore": "missing"}, {"credsStore": "none-here", "auths": {}}, {"auths": None}]
)
def test_no_login_without_an_entry(settings: dict[str, object], tmp_path: Path) -> None:
    """The program of Docker Desktop may be left over in the settings of a machine that doesn't have it."""
    assert docker_login("h.example", config=write(tmp_path, **settings)) is None


def test_podmans_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """REGISTRY_AUTH_FILE stands for all; else docker's settings come before podman's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("DOCKER_CONFIG", "XDG_CONFIG_HOME", "REGISTRY_AUTH_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    places = {".config/containers": b"config:x", "run/containers": b"run:x", ".docker": b"docker:x"}
    for place, login in places.items():
        (tmp_path / place).mkdir(parents=True)
        name = "config.json" if place == ".docker" else "auth.json"
        auths = {"h.example": {"auth": base64.b64encode(login).decode()}}
        (tmp_path / place / name).write_text(json.dumps({"auths": auths}))
        found = docker_login("h.example")
        assert found is not None
        assert found.username == login.decode().partition(":")[0]
    (tmp_path / "own.json").write_text('{"auths": {}}')
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "own.json"))
    assert docker_login("h.example") is None


@pytest.mark.parametrize("text", ["[1]", "[" * 100_000, "{", "\udcff"])
def test_settings_that_are_no_settings(text: str, tmp_path: Path) -> None:
    """One line with the file and the next step, and nothing of its content."""
    (tmp_path / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(RegistryError, match=r"docker's settings .*config\.json\)\. Fix the file"):
        docker_login("h.example", config=tmp_path)
