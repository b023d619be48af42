"""Turns errors of docker-py and of its connection into errors of `core.errors`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ...core.errors import DockerError


@contextmanager
def engine_errors(what: str = "the Docker engine's answer") -> Iterator[None]:
    """Turns docker-py's errors, and those of the connection below it, into `DockerError`.

    Args:
        what: What the engine was asked to do, for messages.
    """
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except APIError as error:
        raise DockerError(
            f"the Docker engine refused {what}: {error.explanation or error}",
            where=f"status {error.status_code}",
            next_step="Fix what it names, or build without Docker: --builder direct",
            transient=error.is_server_error() and "connection" in str(error).lower(),
        ) from error
    except (DockerException, RequestException, HTTPError) as error:
        raise DockerError(
            "no Docker engine answers",
            where=_address(error),
            next_step="Start it (or name another in a DockerHost block), or build without Docker: --builder direct",
            detail=str(error),
        ) from error


def _address(error: Exception) -> str:
    return os.environ.get("DOCKER_HOST") or ("/var/run/docker.sock" if "ocket" in str(error) else str(error)[:200])
