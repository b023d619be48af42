"""The lowest layer of ours: it clears our places of whatever the base has there, and makes the virtual environment.

A virtual environment (PEP 405) of the base's Python, so that `.pth` files, namespace packages and console scripts work
as on any machine. The base's own packages stay visible: some bases bring torch and CUDA, which need not be sent again.
Packages of the lock come first on the path and take precedence, also before what the base's PYTHONPATH names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from . import image_paths
from .layer_writer import Layer, LayerWriter

_MINORS = range(8, 21)
_OPAQUE = ".wh..wh..opq"
"""Hides what the layers below have in its folder:
https://github.com/opencontainers/image-spec/blob/main/layer.md#opaque-whiteout."""


def write_environment(
    out: BinaryIO,
    interpreter: str,
    python: str,
    *,
    environments: Sequence[str] = (),
    folders: Sequence[str] = (),
) -> Layer:
    """Writes `pyvenv.cfg` and the links to the base's interpreter.

    A Python of another minor version would not find the packages, and its first import would fail without an
    explanation. So the site-packages folder of each other version has a `.pth` file that says what is wrong; the right
    Python never reads it.

    Args:
        out: Receives the layer.
        interpreter: Absolute path of the base's Python.
        python: The minor version that the packages are for.
        environments: Folders of packages of the base's own virtual environment.
        folders: Folders of the base's PYTHONPATH.
    """
    writer = LayerWriter(out)
    for place in (image_paths.APP, image_paths.OWN):
        writer.add_directory(place.lstrip("/"))
        _add(writer, f"{place}/{_OPAQUE}".lstrip("/"), "")
    home = interpreter.rpartition("/")[0]
    venv = image_paths.VENV.lstrip("/")
    config = f"home = {home}\ninclude-system-site-packages = true\nversion = {python}\n"
    _add(writer, f"{venv}/pyvenv.cfg", config)
    writer.add_symlink(f"{venv}/bin/python", interpreter)
    writer.add_symlink(f"{venv}/bin/python3", "python")
    # A line that is a path is added as it is; `addsitedir` also reads the `.pth` files there.
    lines = [*folders, *(f"import site; site.addsitedir({folder!r})" for folder in environments)]
    if lines:
        path = f"{image_paths.site_packages(python)}/base_packages.pth".lstrip("/")
        _add(writer, path, "".join(f"{line}\n" for line in lines))
    message = (
        f"The packages in this image are for Python {python}, and its base has another version. "
        "Set base or python in [tool.vertex-training]"
    )
    for minor in _MINORS:
        if (other := f"3.{minor}") != python:
            path = f"{image_paths.site_packages(other)}/wrong_python.pth".lstrip("/")
            _add(writer, path, f"import sys; sys.exit({message!r})\n")
    return writer.finish("environment")


def _add(writer: LayerWriter, path: str, text: str) -> None:
    data = text.encode()
    writer.add_file(path, len(data), [data] if data else [], executable=False)
