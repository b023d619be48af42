"""The layer that makes /opt/venv an environment of the base's Python: a virtual environment, as PEP 405 has it.

So `.pth` files, namespace packages and console scripts work as on any machine. The base's own packages stay visible
behind the lock's (`include-system-site-packages`): Vertex's prebuilt bases bring torch and CUDA, which nobody wants to
send again; what the lock names comes first on the path and wins.
"""

from __future__ import annotations

from typing import BinaryIO

from . import image_paths
from .layer_writer import Layer, LayerWriter

_MINORS = range(8, 21)


def write_environment(out: BinaryIO, interpreter: str, python: str) -> Layer:
    """Writes `pyvenv.cfg` and the links to the base's interpreter.

    A Python of another minor version would not see the packages at all and fail with a riddle at the first import. It
    does see the folder of its own version, so a `.pth` file waits there to say what is wrong; the right Python never
    reads it.

    Args:
        out: Gets the layer.
        interpreter: The base's Python, absolute path.
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
