"""The image of the measured jobs: without a base, with one file and this machine's Python."""

from __future__ import annotations

import sys
from pathlib import Path

from prefect_vertex_training.core.home import Home
from prefect_vertex_training.images.build import build
from prefect_vertex_training.images.oci.image_types import ImageRequest
from prefect_vertex_training.images.oci.layout import OciLayout
from prefect_vertex_training.project.files.project_file import ProjectFile


def tiny_image(home: Home, scratch: Path) -> str:
    """Builds the image into the home's layout; returns its reference by digest."""
    scratch.mkdir(parents=True, exist_ok=True)
    script = scratch / "train.py"
    script.write_text("print('trained')\n")
    request = ImageRequest(
        name="tiny",
        root=scratch,
        files=[ProjectFile("train.py", script, script.stat().st_size, executable=False)],
        script="train.py",
        lock="",
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        fingerprint="0" * 64,
    )
    return build(request, OciLayout(home.images, "tiny"), cache=home.cache).reference
