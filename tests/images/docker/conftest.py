"""Requests for small projects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from prefect_vertex_training.images.model import ImageRequest


@dataclass(frozen=True, slots=True)
class File:
    path: str
    source: Path
    size: int
    executable: bool


RequestOf = Callable[..., ImageRequest]


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
            dockerfile=dockerfile if "Dockerfile" in files else None,
        )
        return replace(request, **fields)

    return make
