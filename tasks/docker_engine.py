"""Connects to this machine's container engine, through prefect-docker where its block says which."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docker import DockerClient


def docker_engine() -> DockerClient:
    """The engine of prefect-docker's DockerHost block, which reads DOCKER_HOST as docker does; else podman's.

    Raises:
        DockerError: No engine answers; lists what was tried.
    """
    from docker.errors import DockerException
    from prefect_docker.host import DockerHost

    from ..images.docker.engine import connect

    try:
        engine = DockerHost().get_client()
        engine.ping()
    except (DockerException, OSError):
        return connect("and the image has to be built")
    return engine
