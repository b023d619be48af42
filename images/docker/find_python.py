"""Finds the Python in an image of a Docker engine, without running anything."""

from __future__ import annotations

import base64
import json
import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ...core.errors import BaseImageError
from ..oci.image_types import PLATFORM
from .engine_errors import engine_errors

if TYPE_CHECKING:
    from docker import DockerClient

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OLDEST = 7
"""The minor version of Python 3 that the runtime needs at least."""
_FOLDER, _LINK = 1 << 31, 1 << 27  # bits of Go's FileMode


def find_python(engine: DockerClient, image: str, features: str) -> str:
    """The path of the first `python3`, else `python`, in the folders of the image's PATH.

    Args:
        engine: The engine that has the image.
        image: The image's id or name.
        features: The settings that need a Python in the image, for messages.

    Raises:
        BaseImageError: The image has no Python, or only one that is too old.
        DockerError: No engine answers, or it no longer has the image.
    """
    with engine_errors("to look for a Python in the image"), _container(engine, image) as container:
        folders = _search_path(engine.api.inspect_image(image))
        for name in ("python3", "python"):
            for folder in folders:
                path = posixpath.join(folder, name)
                if (program := _resolved(engine, container, path)) is not None:
                    return _checked(path, program, image, features)
    raise BaseImageError(
        f"{features} needs a Python in the image, and there is none in its PATH ({':'.join(folders)})",
        where=image,
        next_step=f"Install python3 in the Dockerfile, or remove {features} and save the model in AIP_MODEL_DIR",
    )


def _checked(path: str, program: str, image: str, features: str) -> str:
    version = re.search(r"python(\d+)\.(\d+)$", program)
    if version and (int(version[1]), int(version[2])) < (3, OLDEST):
        raise BaseImageError(
            f"{features} needs Python 3.{OLDEST} or later in the image, and {path} is {version[0]}",
            where=image,
            next_step="Put a newer python3 first in the image's PATH",
        )
    return path


def _search_path(attributes: dict[str, Any]) -> list[str]:
    env = dict(item.partition("=")[::2] for item in attributes["Config"].get("Env") or [])
    return [folder for folder in (env.get("PATH") or _PATH).split(":") if folder.startswith("/")]


@contextmanager
def _container(engine: DockerClient, image: str) -> Iterator[str]:
    """A container that is never started: an engine shows the files of containers only."""
    container = engine.api.create_container(image, command=["-"], entrypoint=["-"], platform=PLATFORM)["Id"]
    try:
        yield container
    finally:
        engine.api.remove_container(container, v=True, force=True)


def _resolved(engine: DockerClient, container: str, path: str) -> str | None:
    """The file that a path leads to, through links; None if there is none."""
    status = _status(engine, container, path)
    if status is not None and status["mode"] & _LINK:
        path = status["linkTarget"]
        status = _status(engine, container, path)
    return path if status is not None and not status["mode"] & _FOLDER else None


def _status(engine: DockerClient, container: str, path: str) -> dict[str, Any] | None:
    """https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerArchiveInfo."""
    url = f"{engine.api.base_url}/v{engine.api.api_version}/containers/{container}/archive?path={quote(path)}"
    answer = engine.api.head(url, timeout=60)
    if answer.status_code == 404:
        return None
    answer.raise_for_status()
    return json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))
