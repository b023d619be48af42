"""Finds a container engine of this machine: Docker's, else podman's, whose socket speaks the same API."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import DockerError
from ...core.security.parsed_text import parse_json

if TYPE_CHECKING:
    from docker import DockerClient

_TIMEOUT = 300
"""Seconds for one response; streams may be silent for longer."""
_DEFAULT = "unix:///var/run/docker.sock"


def connect(purpose: str, timeout: int = _TIMEOUT) -> DockerClient:
    """A client of the first engine that answers.

    Args:
        purpose: What it is needed for, for the message: "to build the image".
        timeout: Seconds for one response.

    Raises:
        DockerError: No engine answers; lists what was tried.
    """
    import docker
    from docker.errors import DockerException

    tried: list[str] = []
    seconds = math.ceil(timeout)
    for title, address in engines():
        if address.startswith("unix://") and not Path(address.removeprefix("unix://")).exists():
            tried.append(f"{title}: no socket at {address.removeprefix('unix://')}")
            continue
        client = None
        try:
            client = docker.from_env(timeout=seconds) if not address else docker.DockerClient(address, timeout=seconds)
            client.ping()
        except (DockerException, OSError, ValueError) as error:
            if client is not None:
                client.close()
            tried.append(f"{title}: {_short(error)}")
            continue
        return client
    if host := os.environ.get("BUILDKIT_HOST"):
        tried.append(f"BUILDKIT_HOST={host}: it builds, and what is needed here runs images or looks into them")
    raise DockerError(
        f"no Docker engine answers, {purpose}",
        where="; ".join(tried),
        next_step="Start Docker or podman's service, name one in DOCKER_HOST, or build without it: --builder direct",
    )


def engines() -> Iterator[tuple[str, str]]:
    """The engines to try, each with a title and an address; an empty one is for what DOCKER_HOST and its kind say."""
    if host := os.environ.get("DOCKER_HOST"):
        yield f"DOCKER_HOST={host}", ""
    else:
        if address := _context():
            yield "docker's context", address
        yield "Docker", _DEFAULT
    if host := os.environ.get("CONTAINER_HOST"):
        yield f"CONTAINER_HOST={host}", host
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        yield "podman", f"unix://{runtime}/podman/podman.sock"
    yield "podman of root", "unix:///run/podman/podman.sock"


def _context() -> str:
    """The address of the context that `docker context use` chose; empty for the default."""
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        name = os.environ.get("DOCKER_CONTEXT") or parse_json((folder / "config.json").read_bytes())["currentContext"]
        for meta in (folder / "contexts" / "meta").glob("*/meta.json"):
            found = parse_json(meta.read_bytes())
            if found["Name"] == name:
                return str(found["Endpoints"]["docker"]["Host"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return ""


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
