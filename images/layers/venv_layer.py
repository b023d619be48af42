"""The layer that makes /opt/venv a virtual environment (PEP 405) of the base's Python.

So `.pth` files, namespace packages and console scripts work as on any machine. The base's own packages stay visible
(`include-system-site-packages`): Vertex AI's prebuilt bases bring torch and CUDA, which need not be sent again.
Packages of the lock come first on the path and take precedence.
"""

from __future__ import annotations

from typing import BinaryIO

from . import image_paths
from .layer_writer import Layer, LayerWriter

_MINORS = range(8, 21)


def write_environment(out: BinaryIO, interpreter: str, python: str) -> Layer:
    """Writes `pyvenv.cfg` and the links to the base's interpreter.

    A Python of another minor version would not find the packages, and its first import would fail without an
    explanation. So the site-packages folder of each other version has a `.pth` file that says what is wrong; the right
    Python never reads it.

    Args:
        out: Receives the layer.
        interpreter: Absolute path of the base's Python.
        python: The minor version that the packages are for.
    """
    writer = LayerWriter(out)
    home = interpreter.rpartition("/")[0]
    venv = image_paths.VENV.lstrip("/")
    config = f"home = {home}\ninclude-system-site-packages = true\nversion = {python}\n"
    _add(writer, f"{venv}/pyvenv.cfg", config)
    writer.add_symlink(f"{venv}/bin/python", interpreter)
    writer.add_symlink(f"{venv}/bin/python3", "python")
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
    writer.add_file(path, len(data), [data], executable=False)
