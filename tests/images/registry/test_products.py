"""What well-known registries were documented to answer, over real HTTP: a push works, or says why not."""

from __future__ import annotations

import base64
import itertools
import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from fixtures.images.odd_registry import After, Asked, Before, Said, error, odd_registry
from fixtures.images.registry_server import RegistryServer
from fixtures.images.stored_images import make_image
from prefect_vertex_training.core.errors import RegistryError
from prefect_vertex_training.images.confirm import confirmed_image
from prefect_vertex_training.images.oci.content_tag import image_tag
from prefect_vertex_training.images.oci.documents import manifest_blobs
from prefect_vertex_training.images.oci.image_types import Descriptor
from prefect_vertex_training.images.oci.layout import OciLayout
from prefect_vertex_training.images.oci.reference import Reference
from prefect_vertex_training.images.push import push
from prefect_vertex_training.images.registry.auth import Credentials
from prefect_vertex_training.images.registry.repository import Repository
from prefect_vertex_training.images.registry.transport import Transport

pytestmark = pytest.mark.registry

FINGERPRINT = "cd" * 32
BASIC = "Basic " + base64.b64encode(b"robot$team+ci:secret").decode()
ROBOT = Credentials.fixed("robot$team+ci", "secret")
"""A robot account of Harbor."""


@dataclass(frozen=True)
class Product:
    """A behaviour; `waits` says whether a retry is needed."""

    before: Before = lambda *_: None
    after: After = lambda _, said: said
    login: Credentials | None = None
    waits: bool = False


def tokens(
    answer: Callable[[Asked], Said | None], challenge: Callable[[str], str] | None = None, count: int = 10**9
) -> Before:
    """Asks for a token of `answer`; each is taken `count` times."""
    used: Counter[str] = Counter()

    def before(asked: Asked, host: str) -> Said | None:
        if asked.path.startswith("/jwt/auth"):
            return answer(asked) or error(401, "UNAUTHORIZED", "HTTP Basic: Access denied")
        token = asked.headers.get("authorization", "")
        used[token] += 1
        if token.startswith("Bearer T") and used[token] <= count:
            return None
        text = challenge(host) if challenge else f'Bearer realm="http://{host}/jwt/auth",service="container_registry"'
        return error(401, "UNAUTHORIZED", "authentication required", ("Www-Authenticate", text))

    return before


def said(**fields: object) -> Callable[[Asked], Said | None]:
    """A token server that answers with these fields to the right password."""
    return lambda asked: Said(200, body=json.dumps(fields).encode()) if asked.says(BASIC) else None


def numbered() -> Callable[[Asked], Said | None]:
    """A token server that gives another token each time."""
    count = itertools.count()

    def answer(asked: Asked) -> Said | None:
        return said(token=f"T{next(count)}")(asked)

    return answer


def once(matches: Callable[[Asked], bool], answer: Callable[[Asked], Said]) -> Before:
    """Answers the first request of a kind itself."""
    done: set[str] = set()

    def before(asked: Asked, host: str) -> Said | None:
        if not matches(asked) or host in done:
            return None
        done.add(host)
        return answer(asked)

    return before


def first(*behaviours: Before) -> Before:
    """The first of several behaviours that answers."""
    return lambda asked, host: next((found for each in behaviours if (found := each(asked, host))), None)


def is_upload(asked: Asked) -> bool:
    """Whether a blob's bytes are sent."""
    return asked.method == "PUT" and "/blobs/uploads/" in asked.path


def moves(methods: tuple[str, ...], part: str, status: int) -> Before:
    """Sends requests of a kind to the same address below /moved first, as a balancer does to another host."""

    def before(asked: Asked, host: str) -> Said | None:
        if "_moved" in asked.path:
            asked.path = asked.path.replace("?_moved=1", "?").replace("&_moved=1", "")
            return None
        if asked.method not in methods or part not in asked.path:
            return None
        separator = "&" if "?" in asked.path else "?"
        return Said(status, [("Location", f"http://{host}{asked.path}{separator}_moved=1")])

    return before


def renamed(change: Callable[[str], str]) -> After:
    """Writes the names of headers in another case."""

    def after(_: Asked, answer: Said) -> Said:
        answer.headers = [(change(name), value) for name, value in answer.headers]
        return answer

    return after


def without(name: str) -> After:
    """Leaves a header out of every answer."""

    def after(asked: Asked, answer: Said) -> Said:
        kept = [(key, value) for key, value in answer.headers if key.lower() != name]
        answer.headers = kept
        return answer

    return after


def with_header(name: str, value: str) -> After:
    """Adds a header to every answer."""

    def after(_: Asked, answer: Said) -> Said:
        answer.headers.append((name, value))
        return answer

    return after


def typed(asked: Asked, answer: Said) -> Said:
    """Adds a charset to the types of manifests, as servers of Java do."""
    kind = answer.header("Content-Type")
    return answer.replaced("Content-Type", f"{kind};charset=UTF-8") if "/manifests/" in asked.path and kind else answer


def locations(change: Callable[[str], str]) -> After:
    """Changes the addresses of uploads."""

    def after(asked: Asked, answer: Said) -> Said:
        place = answer.header("Location")
        return answer.replaced("Location", change(place)) if asked.method == "POST" and place else answer

    return after


def refuses(methods: tuple[str, ...], part: str, answer: Callable[[], Said]) -> Before:
    """Refuses every request of a kind."""
    return lambda asked, _: answer() if asked.method in methods and part in asked.path else None


WORKS = {
    "ACR's access_token": Product(tokens(said(access_token="T")), login=ROBOT),
    "an empty token beside an access_token": Product(tokens(said(token="", access_token="T")), login=ROBOT),
    "GitLab's token with further fields": Product(
        tokens(said(token="T", expires_in=300, issued_at="2026-01-01T00:00:00Z", refresh_token=None)),
        login=ROBOT,
    ),
    "tokens that each work five times": Product(tokens(numbered(), count=5), login=ROBOT),
    "Artifactory's scope of two repositories": Product(
        tokens(
            said(token="T"),
            lambda h: f'Bearer realm="http://{h}/jwt/auth",scope="repository:x:pull repository:y:pull,push"',
        ),
        login=ROBOT,
    ),
    "Quay's challenge with an error": Product(
        tokens(
            said(token="T"),
            lambda h: f'Bearer realm="http://{h}/jwt/auth",error="invalid_token",error_description="a, b"',
        ),
        login=ROBOT,
    ),
    "a token server that is busy once": Product(
        first(once(lambda asked: "/jwt/" in asked.path, lambda _: error(503)), tokens(said(token="T"))),
        login=ROBOT,
        waits=True,
    ),
    "Docker Hub's limit with Retry-After": Product(
        once(is_upload, lambda _: error(429, "TOOMANYREQUESTS", "limit", ("Retry-After", "7"))), waits=True
    ),
    "an upload's session that is lost": Product(
        once(is_upload, lambda _: error(404, "BLOB_UPLOAD_UNKNOWN")), waits=True
    ),
    "an upload's session that ran out": Product(once(is_upload, lambda _: error(416, "RANGE_INVALID")), waits=True),
    "names of headers in small letters": Product(after=renamed(str.lower)),
    "names of headers in capitals": Product(after=renamed(str.upper)),
    "no digests in headers": Product(after=without("docker-content-digest")),
    "no version of the API in headers": Product(after=without("docker-distribution-api-version")),
    "a least size of chunks": Product(after=with_header("OCI-Chunk-Min-Length", "5242880")),
    "Harbor's cookies": Product(after=with_header("Set-Cookie", "sid=abc; Path=/; HttpOnly")),
    "types with a charset": Product(after=typed),
    "no page at /v2/": Product(lambda asked, _: error(404, "NOT_FOUND") if asked.path in ("/v2/", "/v2") else None),
    "HEAD refused with 405": Product(refuses(("HEAD",), "", lambda: Said(405, [("Allow", "GET, PUT")]))),
    "HEAD refused with 501": Product(refuses(("HEAD",), "", lambda: Said(501))),
    "an address relative to the request": Product(after=locations(lambda place: place.rpartition("/uploads/")[2])),
    "an address without a scheme": Product(after=locations(lambda place: place.removeprefix("http:"))),
    "an address in a port's full form": Product(after=locations(lambda place: place.replace("http://", "HTTP://"))),
    "uploads opened elsewhere, 307": Product(moves(("POST",), "/uploads/", 307)),
    "blobs sent elsewhere, 307": Product(moves(("PUT",), "/uploads/", 307)),
    "manifests sent elsewhere, 308": Product(moves(("PUT",), "/manifests/", 308)),
    "blobs asked for elsewhere, 302": Product(moves(("HEAD", "GET"), "/blobs/sha256", 302)),
    "mounts refused with 403": Product(refuses(("POST",), "mount=", lambda: error(403))),
    "mounts refused with 404": Product(refuses(("POST",), "mount=", lambda: error(404, "NAME_UNKNOWN"))),
    "sessions that can't be ended": Product(refuses(("DELETE",), "", lambda: error(405, "UNSUPPORTED"))),
}  # fmt: skip


def repository(host: str, login: Credentials | None, waits: list[float]) -> Repository:
    """A repository of its own for each test."""
    reference = Reference.parse(f"{host}/t{os.urandom(6).hex()}/thing")
    return Repository(reference, transport=Transport(reference.host, reference.repository, login, sleep=waits.append))


@pytest.mark.parametrize("name", WORKS)
def test_products_that_work(
    name: str, layout: OciLayout, tmp_path: Path, open_registry: RegistryServer, waits: list[float]
) -> None:
    """An image with a small and a large layer is pushed and confirmed; only what asks for it is tried again."""
    product = WORKS[name]
    with odd_registry(open_registry.host, product.before, product.after) as (host, _):
        target = repository(host, product.login, waits)
        image = make_image(layout, 1000, 300_000)
        push(image, layout, target, tags=[image_tag(FINGERPRINT), "latest"], cache=tmp_path)
        found = confirmed_image(target, FINGERPRINT, layout=OciLayout(tmp_path / "new", "x"), cache=tmp_path)

    assert found is not None
    assert found.digest == image.digest
    assert open_registry.digest(target.repository, "latest") == image.digest
    assert bool(waits) == product.waits
    assert not waits or "Retry-After" not in name or waits[0] >= 7


def stored_layer(layout: OciLayout) -> Descriptor:
    """A layer in the layout, too large to be sent with its request's headers."""
    found = layout.get_manifest(make_image(layout, 300_000).digest)
    assert found is not None
    return manifest_blobs(json.loads(found[1]), "test")[1][0]


@pytest.mark.parametrize("status", [201, 202, 403, 404, 405])
def test_a_layer_of_another_repository(
    status: int, layout: OciLayout, open_registry: RegistryServer, waits: list[float]
) -> None:
    """It is mounted with 201; with 202 the opened session takes the upload; with any refusal it is uploaded."""
    before: Before = lambda *_: None  # noqa: E731
    if status == 202:  # the real registry opens a session when it doesn't know where the blob is from
        before = lambda asked, _: setattr(asked, "path", asked.path.partition("?mount")[0])  # noqa: E731
    elif status != 201:
        before = refuses(("POST",), "mount=", lambda: error(status))
    layer = stored_layer(layout)
    with odd_registry(open_registry.host, before) as (host, seen):
        source, target = repository(host, None, waits), repository(host, None, waits)
        source.put_blob(layer, lambda: layout.open_blob(layer.digest))
        seen.clear()
        mounted = target.mount_blob(layer, source)
        if not mounted:
            target.upload_blob(layer, lambda: layout.open_blob(layer.digest))

        assert mounted == (status == 201)
        assert target.has_blob(layer.digest)
    assert [asked.method for asked in seen].count("POST") == (2 if status > 202 else 1)


def login_fails(body: bytes, kind: str = "application/json", status: int = 401) -> Before:
    """A token server that refuses with these words."""
    return tokens(lambda _: Said(status, [("Content-Type", kind)], body))


REFUSED = {
    "Docker Hub's wrong password": (
        login_fails(b'{"details":"incorrect username or password"}'), "incorrect username or password",
    ),
    "Quay's wrong password": (
        login_fails(b'{"message":"Invalid Username or Password","error":"x"}', status=403), "Invalid Username or Passw",
    ),
    "OAuth 2's wrong token": (
        login_fails(b'{"error":"invalid_grant","error_description":"the token has run out"}', status=400),
        "the token has run out",
    ),
    "Amazon's plain text": (login_fails(b"Not Authorized\n", "text/plain; charset=utf-8"), "Not Authorized"),
    "Artifactory's status in an error": (
        login_fails(b'{"errors":[{"status":401,"message":"Bad props auth token"}]}'), "Bad props auth token",
    ),
    "GitLab's token without the right to push": (
        lambda asked, host: (
            Said(200, body=b'{"token":"T"}') if "/jwt" in asked.path else error(401, "UNAUTHORIZED", "authentication r"
            "equired", ("WWW-Authenticate", f'Bearer realm="http://{host}/jwt",error="insufficient_scope"'))
        ),
        r"refused robot\$team\+ci",
    ),
    "a challenge without a realm": (
        lambda *_: error(401, "UNAUTHORIZED", "who?", ("WWW-Authenticate", 'Bearer service="x"')),
        "asks for a token and doesn't say where",
    ),
    "a challenge with a relative realm": (
        lambda *_: error(401, "UNAUTHORIZED", "who?", ("WWW-Authenticate", 'Bearer realm="/token"')), "realm|not https",
    ),
    "no challenge at all": (lambda *_: Said(401), "refused robot"),
    "Amazon's missing repository": (
        refuses(("POST", "HEAD"), "", lambda: error(404, "NAME_UNKNOWN", "The repository 'x' does not exist")),
        "The repository 'x' does not exist",
    ),
    "Harbor's quota": (
        refuses(("POST",), "/uploads/", lambda: error(403, "DENIED", "adding 5 MiB of storage exceeds the quota")),
        "exceeds the quota",
    ),
    "GitHub's package of somebody else": (
        refuses(("POST",), "/uploads/", lambda: error(403, "DENIED", "permission_denied: write_package")),
        "permission_denied: write_package",
    ),
    "Nexus' page of a wrong port": (
        refuses(("POST",), "", lambda: Said(400, [("Content-Type", "text/html")], b"<!DOCTYPE html><p>Not Docker")),
        "web page",
    ),
    "an upload without an address": (refuses(("POST",), "/uploads/", lambda: Said(202)), "without giving its address"),
    "a redirect of uploads without end": (
        lambda asked, host: Said(307, [("Location", f"http://{host}{asked.path}")]) if asked.method == "POST" else None,
        "answered 307",
    ),
    "a redirect of uploads to the metadata service": (
        refuses(("POST",), "", lambda: Said(307, [("Location", "http://169.254.169.254/v2/")])), "link-local address",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_products_that_refuse(name: str, open_registry: RegistryServer, waits: list[float]) -> None:
    """In one line with the product's own words, and never with the password."""
    before, words = REFUSED[name]
    with odd_registry(open_registry.host, before) as (host, _):
        target = repository(host, ROBOT, waits)
        with pytest.raises(RegistryError, match=words) as caught:
            target.check_push()

    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_redirected_upload_carries_no_credentials_elsewhere(
    layout: OciLayout, open_registry: RegistryServer, waits: list[float]
) -> None:
    """The other host gets the bytes; the login and its token stay with the registry."""
    layer = stored_layer(layout)
    with odd_registry(open_registry.host) as (other, there):
        real = tokens(said(token="T"))

        def before(asked: Asked, host: str) -> Said | None:
            if (answer := real(asked, host)) or not is_upload(asked):
                return answer
            return Said(307, [("Location", f"http://{other}{asked.path}")])

        with odd_registry(open_registry.host, before) as (host, _):
            target = repository(host, ROBOT, waits)
            target.put_blob(layer, lambda: layout.open_blob(layer.digest))
            assert target.has_blob(layer.digest)

    assert [asked.method for asked in there] == ["PUT"]
    assert "authorization" not in there[0].headers


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([("Retry-After", "12")], 12.0),
        ([("Retry-After", "1.5")], 1.5),
        ([("Retry-After", "100000")], 60.0),
        ([("Date", "Mon, 30 Nov 2026 10:00:00 GMT"), ("Retry-After", "Mon, 30 Nov 2026 10:00:20 GMT")], 20.0),
        ([("Date", "Mon, 30 Nov 2026 10:00:00 GMT"), ("Retry-After", "Mon, 30 Nov 2026 09:00:00 GMT")], 0.0),
        ([("Retry-After", "Mon, 30 Nov 2026 10:00:20 GMT")], 0.0),
        ([("Retry-After", "soon")], 0.0),
        ([("Retry-After", "-5")], 0.0),
    ],
)
def test_how_long_a_busy_registry_is_waited_for(
    headers: list[tuple[str, str]], seconds: float, open_registry: RegistryServer, waits: list[float]
) -> None:
    """Seconds, or a date that counts from the answer's own date; a minute at most, and nonsense doesn't matter."""
    with odd_registry(open_registry.host, once(lambda _: True, lambda _: error(429, "BUSY", "", *headers))) as (
        host,
        _,
    ):
        assert repository(host, None, waits).head_manifest("tag") is None

    assert len(waits) == 1
    assert waits[0] == seconds or (seconds < 1 and waits[0] < 1)


def test_a_host_that_is_not_there(waits: list[float]) -> None:
    """The reason is told in words, without what this program calls its connections."""
    with pytest.raises(RegistryError, match="no answer from the registry: Failed to resolve") as caught:
        repository("registry.invalid", None, waits).head_manifest("tag")

    assert "(host=" not in str(caught.value)
