"""Connects to the Docker engine through prefect-docker."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docker import DockerClient


def docker_engine() -> DockerClient:
    """The Docker engine of prefect-docker's DockerHost block, which reads DOCKER_HOST as docker does.

    Raises:
        DockerError: No Docker engine answers.
    """
    from prefect_docker.host import DockerHost

    from ..images.docker.engine_errors import engine_errors

    with engine_errors():
        engine = DockerHost().get_client()
        engine.ping()
        return engine
