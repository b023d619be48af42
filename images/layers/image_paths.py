"""Where things lie inside an image: one code folder, one environment, whatever the base."""

from __future__ import annotations

APP = "/app"
"""The project's files; also the working directory."""

VENV = "/opt/venv"
"""The dependencies: a virtual environment of its own, so that a base's packages are neither changed nor hidden."""

INTERPRETER = f"{VENV}/bin/python"
"""What runs the script; console scripts name it in their first line."""


def site_packages(python: str) -> str:
    """Where a wheel's modules go, for a minor version as "3.11"."""
    return f"{VENV}/lib/python{python}/site-packages"


def headers(python: str, distribution: str) -> str:
    """Where a wheel's C headers go; pip's choice for a virtual environment."""
    return f"{VENV}/include/site/python{python}/{distribution}"
