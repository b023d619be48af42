"""Image references: read as docker reads them; errors name the invalid part."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.core.errors import RegistryError
from prefect_vertex_training.images.oci.reference import DIGEST, TAG, LayoutReference, Reference, parse_reference

D = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("python", Reference("docker.io", "library/python", "latest")),
        ("python:3.11-slim", Reference("docker.io", "library/python", "3.11-slim")),
        ("me/thing", Reference("docker.io", "me/thing", "latest")),
        ("localhost/thing", Reference("localhost", "thing", "latest")),
        ("127.0.0.1:5000/a/b:v1", Reference("127.0.0.1:5000", "a/b", "v1")),
        ("index.docker.io/python", Reference("docker.io", "library/python", "latest")),
        ("Registry-1.docker.io:443/me/thing", Reference("docker.io", "me/thing", "latest")),
        ("GCR.io/p/i", Reference("gcr.io", "p/i", "latest")),
        ("[::1]:5000/a", Reference("[::1]:5000", "a", "latest")),
        (f"gcr.io/p/i@{D}", Reference("gcr.io", "p/i", None, D)),
        (f"gcr.io/p/i:v1@{D}", Reference("gcr.io", "p/i", "v1", D)),
    ],
)
def test_references_are_read_as_docker_reads_them(text: str, reference: Reference) -> None:
    """Hosts, ports, Docker Hub's short names, tags and digests."""
    assert Reference.parse(text) == reference


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gcr.io/p/MyModel", "'MyModel' can't be part.*Write 'mymodel'"),
        ("gcr.io/p//i", "'' can't be part.*Give it a name"),
        ("gcr.io/p/i:", "the tag '' is not"),
        (f"gcr.io/p/i:{'x' * 129}", "the tag 'x"),
        ("gcr.io/p/i@sha256:abc", "the digest 'sha256:abc' is not"),
        ("-gcr.io/p/i", "the host '-gcr.io' is not"),
        ("https://gcr.io/p/i", "the host 'https:' is not"),
        ("oci:/folder", "oci:FOLDER:NAME@sha256:DIGEST"),
    ],
)
def test_errors_name_the_invalid_part(text: str, message: str) -> None:
    """The message has the whole reference, and what to write instead."""
    with pytest.raises(RegistryError, match=message) as caught:
        parse_reference(text)

    assert text in str(caught.value)


NAMES = st.from_regex(r"[a-z0-9]{1,9}((_|-|\.)[a-z0-9]{1,9}){0,2}", fullmatch=True)


@given(
    st.builds(
        Reference,
        st.sampled_from(["gcr.io", "localhost:5000", "a.b-c.d:1", "us-docker.pkg.dev"]),
        st.lists(NAMES, min_size=1, max_size=4).map("/".join),
        st.from_regex(TAG, fullmatch=True),
        st.none() | st.from_regex(DIGEST, fullmatch=True),
    )
)
def test_a_reference_survives_its_text_form(reference: Reference) -> None:
    """Parsing the text of any reference gives the same reference."""
    assert parse_reference(str(reference)) == reference


@given(NAMES, st.from_regex(DIGEST, fullmatch=True))
def test_a_layout_reference_survives_its_text_form(name: str, digest: str) -> None:
    """In the form that skopeo reads."""
    reference = LayoutReference(Path("/some/folder"), name, None, digest)

    assert parse_reference(str(reference)) == reference
