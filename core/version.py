"""The package's version: of what is installed, or of the source tree that is used without an installation."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_DISTRIBUTION = "prefect-vertex-training"


def _read() -> str:
    try:
        return version(_DISTRIBUTION)
    except PackageNotFoundError:
        source = Path(__file__).resolve().parents[1] / "pyproject.toml"
        return tomllib.loads(source.read_text("utf-8"))["project"]["version"]


__version__: str = _read()
