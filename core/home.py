"""The folder for everything that is kept between runs: `VERTEX_TRAINING_HOME`, or `~/.vertex-training`.

images/     an OCI image layout with the images of runs without a registry
cache/      wheels, layers, environments, records; may be deleted while nothing runs
prefect/    the kept Prefect server: its database, address and log
preloaded/  the socket of the process that has imported Prefect for the next run
vertex/     local_vertex: its database, socket and buckets
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .errors import StorageError
from .security.private_folder import make_private

VARIABLE = "VERTEX_TRAINING_HOME"


@dataclass(frozen=True, slots=True)
class Home:
    """The folder for everything that is kept between runs; made on first use, readable only by its owner."""

    root: Path

    @classmethod
    def default(cls) -> Home:
        """The folder that `VERTEX_TRAINING_HOME` names, or `~/.vertex-training`."""
        return cls(Path(os.environ.get(VARIABLE) or Path.home() / ".vertex-training").expanduser().absolute())

    @property
    def images(self) -> Path:
        """The OCI image layout."""
        return self._folder("images")

    @property
    def cache(self) -> Path:
        """Files that can be made again."""
        return self._folder("cache")

    @property
    def prefect(self) -> Path:
        """The kept Prefect server's database, address and log."""
        return self._folder("prefect")

    @property
    def preloaded(self) -> Path:
        """The socket and the log of the process that has imported Prefect."""
        return self._folder("preloaded")

    @property
    def vertex(self) -> Path:
        """local_vertex's database, socket and buckets."""
        return self._folder("vertex")

    def _folder(self, name: str) -> Path:
        folder = self.root / name
        try:
            make_private(self.root)
            make_private(folder)
        except OSError as error:
            raise StorageError(
                f"the home folder can't be made: {(error.strerror or 'disk error').lower()}",
                where=folder,
                next_step=f"Set {VARIABLE} to a folder that you can write to",
            ) from error
        return folder
