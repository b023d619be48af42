"""Faults of registries: afterwards the right image is there, or nothing is tagged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fixtures.images.faulty_proxy import Fault, Proxy
from fixtures.images.registry_server import RegistryServer
from fixtures.images.stored_images import assert_whole, make_image
from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.core.errors import RegistryDenied, RegistryError, RegistryUnavailable
from prefect_vertex_training.core.integrity.sealed_json import read_sealed, write_sealed
from prefect_vertex_training.images.oci.image_types import BuiltImage
from prefect_vertex_training.images.oci.layout import OciLayout
from prefect_vertex_training.images.oci.reference import Reference
from prefect_vertex_training.images.push import prepare_uploads, push
from prefect_vertex_training.images.registry.repository import Repository
from prefect_vertex_training.images.registry.transport import Request, Transport

pytestmark = pytest.mark.registry

FINGERPRINT = "ab" * 32


def once(wanted: str, fault: Fault, times: int = 1) -> Callable[[str, str, int], Fault | None]:
    """Makes the first requests that begin with `wanted` fail."""
    left = [times]

    def choose(method: str, path: str, number: int) -> Fault | None:
        if f"{method} {path}".startswith(wanted) and left[0] > 0:
            left[0] -= 1
            return fault
        return None

    return choose


@given(data=st.data())
def test_any_mixture_of_faults_ends_with_the_right_image_or_with_no_tag(
    data: st.DataObject, layout: OciLayout, repository: Repository, proxy: Proxy, open_registry: RegistryServer,
    tmp_path: Path,
) -> None:  # fmt: skip
    """Cuts at any byte of requests and answers, and error statuses, in any order; in a known or new repository."""
    image = make_image(layout, 2000, 400_000)
    place = Reference(proxy.host, f"f{image.digest[7:27]}/thing")
    repository = Repository(place, transport=repository._transport)
    if data.draw(st.booleans()):
        push(make_image(layout, 10), layout, repository, tags=["other"], cache=tmp_path)
        prepare_uploads(repository, layout, FINGERPRINT, tmp_path)
    faults = st.one_of(
        st.none(),
        st.builds(Fault, status=st.sampled_from([429, 500, 502, 503, 504])),
        st.builds(Fault, cut_request=st.integers(0, 400_000)),
        st.builds(Fault, cut_answer=st.integers(0, 600)),
    )
    script = data.draw(st.lists(faults, max_size=25))
    proxy.choose = lambda _method, _path, _number: script.pop() if script else None
    failed = None
    try:
        push(image, layout, repository, tags=["tag"], cache=tmp_path)
    except RegistryError as error:
        failed = error
    proxy.choose = lambda *_: None
    if failed is not None:
        assert failed.transient
        if open_registry.digest(repository.repository, "tag") is not None:  # only the last answer was lost
            assert_whole(repository, image)
        push(image, layout, repository, tags=["tag"], cache=tmp_path)

    assert_whole(repository, image)
    assert open_registry.digest(repository.repository, "tag") == image.digest


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_burst_of_refusals_is_waited_out(
    status: int, image: BuiltImage, layout: OciLayout, repository: Repository, proxy: Proxy, waits: list[float]
) -> None:
    """Waits grow, and follow the registry's Retry-After where it is longer."""
    fault = Fault(status=status, headers=(("Retry-After", "7"),))
    proxy.choose = once("PUT", fault, times=3)
    push(image, layout, repository, tags=["tag"])

    assert_whole(repository, image)
    assert len([wait for wait in waits if wait >= 7]) == 3


def test_a_registry_that_stays_away_is_cancelled(
    image: BuiltImage, layout: OciLayout, repository: Repository, proxy: Proxy, open_registry: RegistryServer
) -> None:
    """The error is transient, and nothing is tagged."""
    proxy.choose = lambda method, *_: Fault(status=503) if method == "PUT" else None
    with pytest.raises(RegistryUnavailable, match="503"):
        push(image, layout, repository, tags=["tag"])

    assert open_registry.digest(repository.repository, "tag") is None


def test_a_lost_answer_to_an_upload_is_not_sent_again(
    image: BuiltImage, layout: OciLayout, repository: Repository, proxy: Proxy
) -> None:
    """The client asks whether the blob arrived before it sends it again."""
    proxy.choose = once("PUT /v2/", Fault(cut_answer=0), times=3)
    push(image, layout, repository, tags=["tag"])

    uploads = [request for request in proxy.seen if request.startswith("PUT") and "digest=" in request]
    assert len(uploads) == 3
    assert_whole(repository, image)


@pytest.mark.parametrize("status", [301, 307, 308, 404])
def test_an_uploads_address_that_leads_nowhere_is_cancelled_for_another(
    status: int, image: BuiltImage, layout: OciLayout, repository: Repository, proxy: Proxy
) -> None:
    """A cut within the header leaves half an address, which registries redirect or refuse."""
    proxy.choose = once("PUT", Fault(status=status, headers=(("Location", "/v2/"),)), times=2)
    push(image, layout, repository, tags=["tag"])

    assert_whole(repository, image)


def test_a_token_that_runs_out_in_the_middle_is_renewed(
    image: BuiltImage, layout: OciLayout, repository: Repository, proxy: Proxy
) -> None:
    """Each token is valid for two requests only; bodies are sent again from their beginning."""
    proxy.token_uses = 2
    push(image, layout, repository, tags=["tag"])

    assert len(proxy.tokens) > 2
    proxy.token_uses = 0
    assert_whole(repository, image)


def test_the_scope_of_tokens_only_grows(
    image: BuiltImage, layout: OciLayout, repository: Repository, proxy: Proxy
) -> None:
    """A thread that only reads must not remove the scope for writing from another's next attempt."""
    proxy.token_uses = 1000
    push(image, layout, repository, tags=["tag"])
    for token in proxy.tokens:
        proxy.tokens[token] = 0
    proxy.scopes.clear()
    repository.has_blob(image.digest)
    push(make_image(layout, 10), layout, repository, tags=["tag"])

    assert proxy.scopes == ["repository:x:pull,push"]


def test_another_threads_smaller_right_between_a_refusal_and_the_next_attempt(
    repository: Repository, proxy: Proxy
) -> None:
    """A thread that was told to request the scope for writing does so, whatever other threads were told meanwhile."""
    proxy.token_uses = 1000

    class Interleaved(Transport):
        def _renew(self, answer: Any) -> bool:
            renewed = super()._renew(answer)
            answer.headers["WWW-Authenticate"] = answer.headers["WWW-Authenticate"].replace("pull,push", "pull")
            super()._renew(answer)
            return renewed

    transport = Interleaved(proxy.host, repository.repository, None)
    path = f"/v2/{repository.repository}/blobs/uploads/"

    assert transport.send(Request("POST", path, {}, {202}, body=b"")).status == 202


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_names_the_account_and_the_next_step(
    status: int, image: BuiltImage, layout: OciLayout, repository: Repository, proxy: Proxy, waits: list[float]
) -> None:
    """It is raised without waiting: a retry would be refused again."""
    proxy.choose = lambda method, *_: Fault(status=status) if method == "POST" else None
    with pytest.raises(RegistryDenied, match=r"anonymous access.*docker login"):
        push(image, layout, repository, tags=["tag"])

    assert waits == []


def test_a_blob_that_vanished_after_its_record_is_sent_again(
    image: BuiltImage, layout: OciLayout, repository: Repository, proxy: Proxy, tmp_path: Path,
    open_registry: RegistryServer,
) -> None:  # fmt: skip
    """The registry reports a missing blob; the record is dropped, and the push continues."""
    push(image, layout, repository, tags=["tag"], cache=tmp_path / "cache")
    requests = len(proxy.seen)
    push(image, layout, repository, tags=["tag"], cache=tmp_path / "cache")
    assert len(proxy.seen) == requests + 2  # records spare every question but the manifest and its tag

    other = make_image(layout, 10)
    known = next((tmp_path / "cache" / "known-blobs").glob("*.json"))
    manifest = json.loads((layout.blob_path(other.digest)).read_bytes())
    blobs = [blob["digest"] for blob in (manifest["config"], *manifest["layers"])]
    recorded = read_sealed(known)
    assert recorded is not None
    write_sealed(known, {**recorded, "digests": [*recorded["digests"], *blobs]})
    push(other, layout, repository, tags=["tag"], cache=tmp_path / "cache")

    assert_whole(repository, other)


def test_a_damaged_answer_is_noticed(
    image: BuiltImage, layout: OciLayout, repository: Repository, proxy: Proxy
) -> None:
    """Manifests and blobs with another digest than requested are errors."""
    push(image, layout, repository, tags=["tag"])
    proxy.choose = lambda *_: Fault(flip=True)

    with pytest.raises(RegistryError, match="wanted"):
        repository.get_manifest(image.digest)
    with pytest.raises(RegistryError, match="a manifest with another digest"):
        repository.get_manifest("tag")
    digest = json.loads(layout.blob_path(image.digest).read_bytes())["layers"][0]["digest"]
    with repository.open_blob(digest) as body, pytest.raises(RegistryError, match="damaged"):
        body.read()


def test_a_blob_cut_while_it_is_read(
    image: BuiltImage, layout: OciLayout, repository: Repository, proxy: Proxy
) -> None:
    """The error is transient, and names the registry."""
    push(image, layout, repository, tags=["tag"])
    digest = json.loads(layout.blob_path(image.digest).read_bytes())["layers"][1]["digest"]
    proxy.choose = lambda *_: Fault(cut_answer=300_000)

    with repository.open_blob(digest) as body, pytest.raises(RegistryUnavailable, match=r"cut off.*127\.0\.0\.1"):
        body.read()


def test_a_registry_that_keeps_another_digest_is_not_trusted(
    image: BuiltImage, layout: OciLayout, repository: Repository, proxy: Proxy, open_registry: RegistryServer
) -> None:
    """A job would run another image; it is found before anything is tagged."""
    wrong = f"sha256:{'0' * 64}"
    proxy.choose = lambda _method, path, _n: Fault(digest=wrong) if "/manifests/" in path else None

    with pytest.raises(RegistryError, match="another digest"):
        push(image, layout, repository, tags=["tag"])
    assert open_registry.digest(repository.repository, "tag") is None


def test_a_registry_that_changes_digests_later(
    image: BuiltImage, layout: OciLayout, repository: Repository, proxy: Proxy, open_registry: RegistryServer,
    tmp_path: Path,
) -> None:  # fmt: skip
    """A registry that has preserved digests isn't checked first each time; a wrong digest fails the push."""
    push(make_image(layout, 10), layout, repository, tags=["tag"], cache=tmp_path)
    proxy.seen.clear()
    proxy.choose = lambda _method, path, _n: Fault(digest=f"sha256:{'0' * 64}") if "/manifests/" in path else None

    with pytest.raises(RegistryError, match="another digest"):
        push(image, layout, repository, tags=["tag"], cache=tmp_path)
    assert open_registry.digest(repository.repository, "tag") == image.digest


def test_a_web_page_is_no_registry(repository: Repository, proxy: Proxy) -> None:
    """A wrong host name often answers with a web page."""
    proxy.choose = lambda *_: Fault(status=404 + 1, headers=(("Content-Type", "text/html"),), body=b"<html>")

    with pytest.raises(RegistryError, match="web page"):
        repository.has_blob(f"sha256:{'0' * 64}")
