"""Requests for small projects."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from prefect_vertex_training.images.oci.image_types import ImageRequest


@dataclass(frozen=True, slots=True)
class File:
    path: str
    source: Path
    size: int
    executable: bool


RequestOf = Callable[..., ImageRequest]


# Images of this process: other workers have their own, which are still in use.
LABEL = {"docker-way-tests": str(os.getpid())}


@pytest.fixture(scope="session", autouse=True)
def no_images_left() -> Iterator[None]:
    """Removes the images of these tests, if there is an engine."""
    import docker
    from docker.errors import DockerException

    yield
    with contextlib.suppress(DockerException), contextlib.closing(docker.from_env()) as engine:
        filters = {"label": [f"{name}={value}" for name, value in LABEL.items()]}
        for image in engine.api.images(all=True, filters=filters, quiet=True):
            with contextlib.suppress(DockerException):
                engine.images.remove(image, force=True)


@pytest.fixture
def request_of(tmp_path: Path) -> RequestOf:
    """Writes a project of the given files and returns its request; `Dockerfile` among them is the project's own."""

    def make(files: dict[str, str], **fields: Any) -> ImageRequest:
        root = tmp_path / "project"
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        listed = [File(name, root / name, len(text.encode()), False) for name, text in sorted(files.items())]
        dockerfile = root / "Dockerfile"
        request = ImageRequest(
            name="docker-way",
            root=root,
            files=listed,
            script="train.py",
            lock="",
            python="3.11",
            labels=LABEL,
            dockerfile=dockerfile if "Dockerfile" in files else None,
        )
        return replace(request, **fields)

    return make
