"""Where things lie on this machine: one folder, `VERTEX_TRAINING_HOME` or `~/.vertex-training`.

images/     an OCI image layout: what was built, and what jobs run without a registry
cache/      wheels, layers, environments, records; safe to delete while nothing runs
vertex/     local_vertex: its store, its socket, its buckets
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "VERTEX_TRAINING_HOME"


@dataclass(frozen=True, slots=True)
class Home:
    """The folder that holds everything kept between runs; made on first use, for its owner alone."""

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
        """Everything that can be made again."""
        return self._folder("cache")

    @property
    def vertex(self) -> Path:
        """local_vertex's store, socket and buckets."""
        return self._folder("vertex")

    def _folder(self, name: str) -> Path:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = self.root / name
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder
