"""The base images that are used where a project names none.

A project's `base` can be any image. Vertex AI's own training images, with torch, TensorFlow and CUDA, are listed at
https://cloud.google.com/vertex-ai/docs/training/pre-built-containers.
"""

from __future__ import annotations

from ...core.errors import BaseImageError

CONDA_BASE = "condaforge/miniforge3:latest"
"""The default base for conda: it has conda itself, and conda installs the project's own Python."""

_PYTHON_BASES = {
    python: f"docker.io/library/python:{python}-slim" for python in ("3.10", "3.11", "3.12", "3.13", "3.14")
}


def default_base(python: str) -> str:
    """Docker's official image for a Python version, as "3.11": Debian, small, with nothing but Python.

    Raises:
        BaseImageError: There is no default for that version.
    """
    if python not in _PYTHON_BASES:
        raise BaseImageError(
            f"no default base for Python {python}",
            where="base",
            next_step="Set base in [tool.vertex-training], or one of the versions " + ", ".join(_PYTHON_BASES),
        )
    return _PYTHON_BASES[python]
