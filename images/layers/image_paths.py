"""Paths inside an image: one folder for the code and one virtual environment, on every base."""

from __future__ import annotations

APP = "/app"
"""The project's files; also the working directory."""

OWN = "/opt/vertex-training"
"""Everything else of ours: a folder that no base has, unless it is an image of ours; then ours replaces it."""

VENV = f"{OWN}/venv"
"""The dependencies: a separate virtual environment, so that the base's packages are neither changed nor hidden. Many
bases have an environment of their own in `/opt/venv`."""

INTERPRETER = f"{VENV}/bin/python"
"""The interpreter that runs the script; console scripts name it in their first line."""

RUNTIME = f"{OWN}/runtime"
"""The runtime, which starts the script for projects that use one of its features."""


def site_packages(python: str) -> str:
    """The folder of a wheel's modules, for a minor version as "3.11"."""
    return f"{VENV}/lib/python{python}/site-packages"


def headers(python: str, distribution: str) -> str:
    """The folder of a wheel's C headers, as pip chooses it for a virtual environment."""
    return f"{VENV}/include/site/python{python}/{distribution}"
