"""What registries, token servers and the networks before them do, over real HTTP: all that docker can use works."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from fixtures.images.odd_registry import After, Asked, Before, Said, error, odd_registry
from fixtures.images.registry_server import RegistryServer
from fixtures.images.stored_images import make_image
from prefect_vertex_training.core.errors import RegistryError
from prefect_vertex_training.images.confirm import confirmed_image
from prefect_vertex_training.images.oci.content_tag import image_tag
from prefect_vertex_training.images.oci.image_types import BuiltImage
from prefect_vertex_training.images.oci.layout import OciLayout
from prefect_vertex_training.images.oci.reference import Reference
from prefect_vertex_training.images.push import push
from prefect_vertex_training.images.registry.auth import Credentials
from prefect_vertex_training.images.registry.repository import Repository
from prefect_vertex_training.images.registry.transport import Transport
from prefect_vertex_training.local_vertex import tls_certificate

pytestmark = pytest.mark.registry

FINGERPRINT = "ab" * 32
BASIC = "Basic " + base64.b64encode(b"me:secret").decode()
PASSWORD = Credentials.fixed("me", "secret")


@dataclass(frozen=True)
class Odd:
    """A behaviour."""

    before: Before = lambda *_: None
    after: After = lambda _, said: said
    login: Credentials | None = None


def bearer(
    challenges: Callable[[str], list[str]],
    token: Callable[[Asked], Said | None] = lambda asked: (
        Said(200, body=b'{"token": "T"}') if asked.says(BASIC) else None
    ),
) -> Before:
    """Asks for a bearer token with these challenges; `token` answers the token server's requests."""

    def before(asked: Asked, host: str) -> Said | None:
        if asked.path.startswith("/token"):
            return token(asked) or error(401, "UNAUTHORIZED", "wrong")
        if asked.says("Bearer T"):
            return None
        return error(401, "UNAUTHORIZED", "who?", *(("WWW-Authenticate", text) for text in challenges(host)))

    return before


def plain(host: str) -> str:
    """The usual challenge."""
    return f'Bearer realm="http://{host}/token",service="svc",scope="repository:x:pull,push"'


def identity(asked: Asked) -> Said | None:
    """A token server that changes an identity token in a POST, and refuses everything else, as Azure's does."""
    form = asked.form if asked.method == "POST" else {}
    right = form.get("grant_type") == "refresh_token" and form.get("refresh_token") == "R" and "scope" in form
    return Said(200, body=b'{"access_token": "T"}') if right else None


def posts_only(asked: Asked) -> Said | None:
    """A token server without GET."""
    if asked.method == "GET":
        return error(405, "UNSUPPORTED", "POST it")
    form = asked.form
    right = (form.get("grant_type"), form.get("username"), form.get("password")) == ("password", "me", "secret")
    return Said(200, body=b'{"access_token": "T"}') if right else None


def basic(asked: Asked, _host: str) -> Said | None:
    """Asks for a password."""
    return (
        None if asked.says(BASIC) else error(401, "UNAUTHORIZED", "", ("WWW-Authenticate", 'Basic realm="a, \\"b\\""'))
    )


def statuses(method: str, part: str, status: int) -> After:
    """Answers a kind of request with another status of success."""

    def after(asked: Asked, said: Said) -> Said:
        if asked.method == method and part in asked.path and said.status in (200, 201, 202):
            said.status = status
        return said

    return after


def heads(change: Callable[[Said], Said]) -> After:
    """Changes the answers to HEAD."""
    return lambda asked, said: change(said) if asked.method == "HEAD" and said.status == 200 else said


def without_length(said: Said, version: str = "HTTP/1.1") -> Said:
    """The answer without a length, after which the connection is closed."""
    said.length, said.version = False, version
    return said


def locations(change: Callable[[str], str]) -> After:
    """Changes the addresses of uploads."""

    def after(asked: Asked, said: Said) -> Said:
        place = said.header("Location")
        return said.replaced("Location", change(place)) if asked.method == "POST" and place else said

    return after


def immutable(status: int, code: str) -> Before:
    """Refuses to move a tag: knows the digest that each had first."""
    tags: dict[str, bytes] = {}

    def before(asked: Asked, _host: str) -> Said | None:
        if asked.method != "PUT" or "/manifests/" not in asked.path or "/sha256:" in asked.path:
            return None
        if tags.setdefault(asked.path, asked.body) != asked.body:
            return error(status, code, "the repository has enabled tag immutability")
        return None

    return before


def encoded(asked: Asked, said: Said) -> Said:
    """Compresses manifests in transit, whatever was asked for."""
    if asked.method != "GET" or "/manifests/" not in asked.path or said.status != 200:
        return said
    said.headers.append(("Content-Encoding", "gzip"))
    said.body = gzip.compress(said.body)
    return said


def no_mounts(asked: Asked, _host: str) -> Said | None:
    """Doesn't know mounts, nor the end of an upload by DELETE."""
    return error(405, "UNSUPPORTED") if "mount=" in asked.path or asked.method == "DELETE" else None


WORKS = {
    "open": Odd(),
    "a password": Odd(basic, login=PASSWORD),
    "bearer": Odd(bearer(lambda host: [plain(host)]), login=PASSWORD),
    "bearer and basic in two headers": Odd(bearer(lambda host: ['Basic realm="x"', plain(host)]), login=PASSWORD),
    "bearer and basic in one header": Odd(bearer(lambda host: [f'Basic realm="x", {plain(host)}']), login=PASSWORD),
    "a scheme that nobody knows first": Odd(
        bearer(lambda host: ["Negotiate", "NTLM abc=", plain(host)]), login=PASSWORD
    ),
    "negotiate in the same header": Odd(bearer(lambda host: [f"Negotiate, {plain(host)}"]), login=PASSWORD),
    "another case, no quotes": Odd(bearer(lambda h: [f"BEARER Realm=http://{h}/token, service=svc"]), login=PASSWORD),
    "a challenge without a scope": Odd(bearer(lambda host: [f'Bearer realm="http://{host}/token"']), login=PASSWORD),
    "a realm with a query": Odd(
        bearer(lambda h: [f'Bearer realm="http://{h}/token?a=b",service="svc"']), login=PASSWORD
    ),
    "an identity token": Odd(bearer(lambda h: [plain(h)], identity), login=Credentials.fixed("", "R", "identity")),
    "a token server that takes posts only": Odd(bearer(lambda host: [plain(host)], posts_only), login=PASSWORD),
    "a registry token": Odd(bearer(lambda host: [plain(host)]), login=Credentials.fixed("", "T", "bearer")),
    "a lifetime as text": Odd(
        bearer(lambda h: [plain(h)], lambda _: Said(200, body=b'{"token": "T", "expires_in": "soon"}')), login=PASSWORD
    ),
    "a lifetime without end": Odd(
        bearer(lambda h: [plain(h)], lambda _: Said(200, body=b'{"token": "T", "expires_in": 1e400}')), login=PASSWORD
    ),
    "a negative lifetime": Odd(
        bearer(lambda h: [plain(h)], lambda _: Said(200, body=b'{"token": "T", "expires_in": -5}')), login=PASSWORD
    ),
    "a token without a length": Odd(
        bearer(lambda h: [plain(h)], lambda _: without_length(Said(200, body=b'{"token": "T"}'))), login=PASSWORD
    ),
    "HEAD without a length": Odd(after=heads(without_length)),
    "HEAD with the length 0": Odd(after=heads(lambda said: said.replaced("Content-Length", "0"))),
    "HEAD without a digest": Odd(after=heads(lambda said: said.replaced("Docker-Content-Digest", None))),
    "HEAD with half a digest": Odd(after=heads(lambda said: said.replaced("Docker-Content-Digest", "sha256:ab"))),
    "HTTP 1.0": Odd(after=lambda asked, said: without_length(said, "HTTP/1.0") if asked.method != "HEAD" else said),
    "blobs stored with 200": Odd(after=statuses("PUT", "/blobs/", 200)),
    "blobs stored with 202": Odd(after=statuses("PUT", "/blobs/", 202)),
    "blobs stored with 204": Odd(after=statuses("PUT", "/blobs/", 204)),
    "manifests stored with 200": Odd(after=statuses("PUT", "/manifests/", 200)),
    "manifests stored with 202": Odd(after=statuses("PUT", "/manifests/", 202)),
    "uploads opened with 200": Odd(after=statuses("POST", "/uploads/", 200)),
    "uploads opened with 201": Odd(after=statuses("POST", "/uploads/", 201)),
    "a relative address of an upload": Odd(after=locations(lambda place: "/" + place.split("/", 3)[3])),
    "an address that needs its exact form": Odd(after=locations(lambda place: f"{place}&_x=a%2Fb%3D%3D+c")),
    "no mounts, no DELETE": Odd(no_mounts),
    "compressed manifests": Odd(after=encoded),
    "tags kept with 400": Odd(immutable(400, "MANIFEST_INVALID")),
    "tags kept with 403": Odd(immutable(403, "DENIED")),
    "tags kept with 409": Odd(immutable(409, "TAG_INVALID")),
    "tags kept with 412": Odd(immutable(412, "PRECONDITION")),
}


def repository(host: str, login: Credentials | None, waits: list[float]) -> Repository:
    """A repository of its own for each test."""
    reference = Reference.parse(f"{host}/t{os.urandom(6).hex()}/thing")
    transport = Transport(reference.host, reference.repository, login, sleep=waits.append)
    return Repository(reference, transport=transport)


@pytest.mark.parametrize("name", WORKS)
def test_behaviours_of_registries_that_work(
    name: str, layout: OciLayout, tmp_path: Path, open_registry: RegistryServer, waits: list[float]
) -> None:
    """Two images are pushed and confirmed, without a retry; tags that the registry keeps don't matter."""
    odd = WORKS[name]
    with odd_registry(open_registry.host, odd.before, odd.after) as (host, _):
        target = repository(host, odd.login, waits)
        images = [make_image(layout, 1000, 300_000) for _ in range(2)]
        for number, image in enumerate(images):
            fingerprint = f"{number}{FINGERPRINT[1:]}"
            push(image, layout, target, tags=[image_tag(fingerprint), "latest"], cache=tmp_path)
            found = confirmed_image(target, fingerprint, layout=OciLayout(tmp_path / "new", "x"), cache=tmp_path)
            assert found is not None
            assert found.digest == image.digest

    assert waits == []
    kept = images[0] if name.startswith("tags kept") else images[1]
    assert open_registry.digest(target.repository, "latest") == kept.digest
    assert target.kept_tags == (["latest"] if name.startswith("tags kept") else [])


def body(data: bytes, *headers: tuple[str, str]) -> Before:
    """Answers requests for manifests with these bytes."""

    def before(asked: Asked, _host: str) -> Said | None:
        return Said(200, list(headers), data) if "/manifests/" in asked.path else None

    return before


def endless(asked: Asked, _host: str) -> Said | None:
    """A manifest that never ends."""
    if asked.method != "GET":
        return None
    return Said(200, pieces=(b" " * 65536 for _ in itertools.count()), length=False)


@cache
def bomb() -> bytes:
    """A few kilobytes that inflate to a hundred megabytes."""
    return gzip.compress(bytes(100_000_000))


def inflating(asked: Asked, host: str) -> Said | None:
    """A manifest that is one; made only where it is asked for."""
    return body(bomb(), ("Content-Encoding", "gzip"))(asked, host)


REFUSED = {
    "a manifest that inflates a thousandfold": (Odd(inflating), "more than 8,388,608 bytes"),
    "a manifest without end": (Odd(endless), "more than 8,388,608 bytes"),
    "a manifest of 5 MB": (Odd(body(b"{" + b" " * 5_000_000)), "4,194,304 are allowed"),
    "a manifest with another digest": (
        Odd(body(b"{}", ("Docker-Content-Digest", "sha256:" + "1" * 64))), "manifest with another digest",
    ),
    "a web page": (Odd(lambda *_: Said(200, [("Content-Type", "text/html")], b"<html>")), "not as a registry"),
    "a password that is refused for ever": (
        Odd(lambda *_: error(401, "UNAUTHORIZED", "", ("WWW-Authenticate", 'Basic realm="x"')), login=PASSWORD),
        r"refused me \(401\)",
    ),
    "a token that is no text": (
        Odd(bearer(lambda h: [plain(h)], lambda _: Said(200, body=b'{"token": {}}')), login=PASSWORD), "refused me",
    ),
    "a token with a line's end": (
        Odd(bearer(lambda h: [plain(h)], lambda _: Said(200, body=b'{"token": "a\\r\\nX: y"}')), login=PASSWORD),
        "without a usable token",
    ),
    "a token server that answers a list": (
        Odd(bearer(lambda h: [plain(h)], lambda _: Said(200, body=b"[1]")), login=PASSWORD), "token can't be used",
    ),
    "deep nesting from the token server": (
        Odd(bearer(lambda h: [plain(h)], lambda _: Said(200, body=b'{"a":' * 100_000)), login=PASSWORD),
        "token can't be used",
    ),
    "a token server without TLS": (
        Odd(bearer(lambda _: ['Bearer realm="http://203.0.113.1/token"']), login=PASSWORD), "not https",
    ),
    "a redirect to the metadata service": (
        Odd(lambda *_: Said(307, [("Location", "http://169.254.169.254/computeMetadata/v1/")])), "link-local address",
    ),
    "a redirect to the metadata service by name": (
        Odd(lambda *_: Said(307, [("Location", "http://metadata.google.internal/x")])), "metadata service",
    ),
    "a redirect without end": (Odd(lambda asked, _: Said(307, [("Location", asked.path)])), "redirects"),
    "a message that draws": (
        Odd(lambda *_: error(418, "X", "\x1b[31mred\x1b[0m <img src=x> \x07" + "long" * 1000)), "X red <img src=x>",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_behaviours_that_are_refused(name: str, open_registry: RegistryServer, waits: list[float]) -> None:
    """In one short line, and no password leaves this machine for another."""
    odd, message = REFUSED[name]
    with odd_registry(open_registry.host, odd.before, odd.after) as (host, _):
        target = repository(host, odd.login, waits)
        with pytest.raises(RegistryError, match=message) as caught:
            target.get_manifest("tag")

    text = str(caught.value)
    assert "secret" not in text
    assert len(text) < 1000
    assert not any(ord(sign) < 32 for sign in text)


def test_a_loopback_registry_with_tls(
    image: BuiltImage, layout: OciLayout, tmp_path: Path, open_registry: RegistryServer, waits: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """TLS is noticed; the certificate must be trusted, by SSL_CERT_FILE or by docker's folder for the registry."""
    key, pem = tls_certificate.make()
    (tmp_path / "pem").write_bytes(key + pem)
    with odd_registry(open_registry.host, certificate=tmp_path / "pem") as (host, _):
        with pytest.raises(RegistryError, match=r"certificate of the registry can't be trusted.*SSL_CERT_FILE"):
            repository(host, PASSWORD, waits).head_manifest("tag")
        (tmp_path / "ca.pem").write_bytes(pem)
        with monkeypatch.context() as changed:
            changed.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
            push(image, layout, repository(host, None, waits), tags=["tag"])
        folder = tmp_path / "home" / ".config/containers/certs.d" / host
        folder.mkdir(parents=True)
        (folder / "ca.crt").write_bytes(pem)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        push(image, layout, repository(host, None, waits), tags=["tag"])


def test_what_is_missing_in_the_registry_is_sent_again(
    image: BuiltImage, layout: OciLayout, tmp_path: Path, open_registry: RegistryServer, waits: list[float]
) -> None:
    """An image counts only if manifest, config and every layer are there; after a loss the records are dropped."""
    gone: list[str] = []

    def before(asked: Asked, _host: str) -> Said | None:
        return error(404, "BLOB_UNKNOWN") if asked.method == "HEAD" and any(d in asked.path for d in gone) else None

    with odd_registry(open_registry.host, before) as (host, seen):
        target = repository(host, None, waits)
        push(image, layout, target, tags=[image_tag(FINGERPRINT)], cache=tmp_path)
        manifest = json.loads(layout.blob_path(image.digest).read_bytes())
        blobs = [blob["digest"] for blob in (manifest["config"], *manifest["layers"])]
        layout.put_manifest(json.dumps(manifest).encode(), manifest["mediaType"], [image_tag(FINGERPRINT)])
        for places in (layout, OciLayout(tmp_path / "none", "x")):
            seen.clear()
            assert confirmed_image(target, FINGERPRINT, layout=places, cache=tmp_path) is not None
            assert {path for path in blobs for asked in seen if path in asked.path} == set(blobs)
        for digest in blobs:
            gone[:] = [digest]
            assert confirmed_image(target, FINGERPRINT, layout=layout, cache=tmp_path) is None
        seen.clear()
        gone.clear()
        push(image, layout, target, tags=["again"], cache=tmp_path)
        assert {path for path in blobs for asked in seen if path in asked.path} == set(blobs)
