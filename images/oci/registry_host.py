"""Registry hosts in a canonical form, so that two names of one registry compare as equal."""

from __future__ import annotations

import re

DOCKER_HUB = "docker.io"
"""The name that image references use for Docker Hub."""

DOCKER_HUB_API = "registry-1.docker.io"
"""The host that answers Docker Hub's registry API."""

_DOCKER_HUB_HOSTS = frozenset((DOCKER_HUB, DOCKER_HUB_API, "index.docker.io", "registry.hub.docker.com"))
_LOOPBACK = re.compile(r"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?")


def canonical_host(host: str) -> str:
    """A registry's host in lowercase, without the default port, and with one name for Docker Hub's hosts.

    Docker's own rules: https://github.com/distribution/reference/blob/main/normalize.go.
    """
    host = host.lower()
    name, _, port = host.rpartition(":")
    # "myhost:443" keeps its port: without one, docker reads the name as a folder at Docker Hub.
    if name and port == ("80" if is_loopback(host) else "443") and ("." in name or is_loopback(name)):
        host = name
    return DOCKER_HUB if host in _DOCKER_HUB_HOSTS else host


def host_of(address: str) -> str:
    """The canonical host of a registry that is given by host name or by URL, as docker's settings do."""
    return canonical_host((address.partition("://")[2] or address).partition("/")[0])


def is_loopback(host: str) -> bool:
    """Whether a host, with or without port, is this machine: docker speaks plain HTTP to such registries."""
    return _LOOPBACK.fullmatch(host) is not None
