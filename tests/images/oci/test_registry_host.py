"""Registry hosts: two spellings of one registry are equal, and two registries never are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.images.oci.registry_host import canonical_host, host_of, is_loopback


@pytest.mark.parametrize(
    ("host", "canonical"),
    [
        ("docker.io", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("registry.hub.docker.com", "docker.io"),
        ("Index.Docker.IO", "docker.io"),
        ("registry-1.docker.io:443", "docker.io"),
        ("GCR.io", "gcr.io"),
        ("registry.example.com:443", "registry.example.com"),
        ("localhost:80", "localhost"),
        ("[::1]:80", "[::1]"),
    ],
)
def test_spellings_of_one_registry(host: str, canonical: str) -> None:
    """Docker Hub's hosts, capitals, and the port that the scheme implies."""
    assert canonical_host(host) == canonical


@pytest.mark.parametrize(
    "host",
    [
        "registry.example.com:80",  # https on port 80
        "localhost:443",  # plain HTTP on port 443
        "127.0.0.1:5000",
        "[::1]:5000",
        "myhost:443",  # without the port docker would read a folder at Docker Hub
        "docker.io.example.com",
        "mydocker.io",
        "auth.docker.io",
        "docker.io:5000",
    ],
)
def test_other_registries_stay_apart(host: str) -> None:
    """A port that the scheme doesn't imply counts, and so does every part of a name."""
    assert canonical_host(host) == host


@given(st.from_regex(r"([a-zA-Z0-9-]{1,8}\.){0,3}[a-zA-Z0-9-]{1,8}(:[0-9]{1,5})?", fullmatch=True))
def test_canonical_form_is_stable(host: str) -> None:
    """Applying it again changes nothing."""
    assert canonical_host(canonical_host(host)) == canonical_host(host)


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://index.docker.io/v1/", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("https://GCR.io/v2/", "gcr.io"),
        ("http://localhost:5000/", "localhost:5000"),
        ("registry.example.com/v2", "registry.example.com"),
    ],
)
def test_hosts_of_docker_settings(address: str, host: str) -> None:
    """Docker's settings name a registry by host or by URL."""
    assert host_of(address) == host


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost:5000", True),
        ("127.3.2.1", True),
        ("[::1]", True),
        ("localhost.example.com", False),
        ("10.0.0.1", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    """Only this machine is spoken to without TLS."""
    assert is_loopback(host) is expected
