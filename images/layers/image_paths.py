"""Paths inside an image: one folder for the code and one virtual environment, on every base."""

from __future__ import annotations

APP = "/app"
"""The project's files; also the working directory."""

VENV = "/opt/venv"
"""The dependencies: a separate virtual environment, so that the base's packages are neither changed nor hidden."""

INTERPRETER = f"{VENV}/bin/python"
"""The interpreter that runs the script; console scripts name it in their first line."""

RUNTIME = "/opt/vertex-training/runtime"
"""The runtime, which starts the script for projects that use one of its features."""


def site_packages(python: str) -> str:
    """The folder of a wheel's modules, for a minor version as "3.11"."""
    return f"{VENV}/lib/python{python}/site-packages"


def headers(python: str, distribution: str) -> str:
    """The folder of a wheel's C headers, as pip chooses it for a virtual environment."""
    return f"{VENV}/include/site/python{python}/{distribution}"
