"""A virtual environment for a Python package whose executor image can't be had on this machine."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from ....core.errors import ImageError
from ..replica.bucket_folders import BUCKET_PATH
from ..replica.job_spec import Package
from .interpreter import Interpreters

_INSTALL_SECONDS = 1800
_VERSION = re.compile(r"\bpy(?:thon)?[.-]?3[.-]?(\d{1,2})(?!\d)")


class PackageEnvironments:
    """Makes such environments, one for each run of a replica.

    Args:
        interpreters: The Pythons of this machine.
        buckets: The folder with one folder for each bucket.
    """

    def __init__(self, interpreters: Interpreters, buckets: Path) -> None:
        self._interpreters = interpreters
        self._buckets = buckets

    def make(self, package: Package, image: str, folder: Path, say: Callable[[str], None]) -> Path:
        """Makes an environment with a package and what it requires; returns its Python. Blocks meanwhile.

        Args:
            package: The package.
            image: The executor image; its name tells the Python, as in `pytorch-gpu.2-4.py310`.
            folder: The folder of the run.
            say: Stores a message for the user.

        Raises:
            ImageError: A package is missing or can't be installed.
        """
        files = [self._file(uri) for uri in package.uris]
        python = self._python(image, say)
        environment = folder / "environment"
        # uv's settings, such as an index, are those of the service; the job itself gets none of them.
        log = folder / "stdout"
        self._uv(["venv", "--quiet", "--no-project", "--python", str(python), str(environment)], log, image)
        found = environment / "bin" / "python"
        self._uv(["pip", "install", "--python", str(found), *map(str, files)], log, " ".join(package.uris))
        return found

    def _file(self, uri: str) -> Path:
        match = BUCKET_PATH.fullmatch(uri)
        file = Path(f"{self._buckets / match['bucket']}{os.path.normpath(match['rest'] or '/')}") if match else None
        if file is None or not file.is_file():
            raise ImageError("there is no such package", where=uri, next_step="Upload it to that path of the bucket")
        return file

    def _python(self, image: str, say: Callable[[str], None]) -> Path:
        named = _VERSION.search(image)
        version = f"3.{named[1]}" if named else ""
        try:
            return self._interpreters.find(version)
        except ImageError:
            own = self._interpreters.find("")
            say(f"The executor image has Python {version}, which this machine lacks: the package runs with {own.name}.")
            return own

    def _uv(self, arguments: list[str], log: Path, where: str) -> None:
        from uv import find_uv_bin

        with log.open("ab") as output:
            output.write(f"Running command: uv {' '.join(arguments)}\n".encode())
            output.flush()
            try:
                done = subprocess.run(
                    [find_uv_bin(), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.PIPE,
                    timeout=_INSTALL_SECONDS,
                    check=False,
                    cwd=log.parent,  # no settings of a project in the service's own folder
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                raise ImageError("the package can't be installed", where=where, detail=str(error)) from error
            output.write(done.stderr)
        if done.returncode:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
            raise ImageError(
                f"the package can't be installed: {last[0].strip()}",
                where=where,
                next_step="Read the job's log, and correct the package or its requirements",
            )
