"""The files of a base as a container sees them: its layers merged, read from the top down as far as needed."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from .layer_listing import OPAQUE, WHITEOUT, Entry

_MOST_LINKS = 40


class Unknown(Exception):
    """The layers that were read so far don't decide it."""


class MergedLayers:
    """The merged files of the layers that were read so far, the highest first.

    https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts

    Attributes:
        is_complete: Whether all layers were read; until then questions may raise `Unknown`.
    """

    def __init__(self) -> None:
        self._layers: list[dict[str, Entry]] = []
        self._parents: list[set[str]] = []
        self.is_complete = False

    def start_layer(self) -> None:
        """Begins the next lower layer."""
        self._layers.append({})
        self._parents.append(set())

    def add(self, entry: Entry) -> None:
        """Adds an entry of the current layer."""
        self._layers[-1][entry.path] = entry
        self._parents[-1].update(_parents(entry.path))

    def find(self, path: str) -> Entry | None:
        """What is at a path, links not followed; None for nothing, or for a folder that no layer lists.

        Raises:
            Unknown: A lower layer may have it.
        """
        for layer, parents in zip(self._layers, self._parents, strict=True):
            if (entry := layer.get(path)) is not None:
                return self._shared(entry, layer)
            if path in parents:
                return Entry(path, "folder")
            if _hides(layer, path):
                return None
        if not self.is_complete:
            raise Unknown(path)
        return None

    def resolve(self, path: str) -> Entry | None:
        """The file that a path leads to, through links of files and folders; None if there is none.

        Raises:
            Unknown: A lower layer may decide it.
        """
        left = path.strip("/").split("/")
        at: list[str] = []
        links = 0
        while left:
            part = left.pop(0)
            if part in ("", "."):
                continue
            if part == "..":
                at = at[:-1]
                continue
            entry = self.find("/".join([*at, part]))
            if entry is not None and entry.kind == "link":
                links += 1
                if links > _MOST_LINKS:
                    return None
                at = [] if entry.target.startswith("/") else at
                left = [*entry.target.split("/"), *left]
                continue
            if not left:
                return entry if entry is not None and entry.kind == "file" else None
            at.append(part)
        return None

    def matching(self, pattern: str) -> Iterator[Entry]:
        """The files and links whose whole path matches a regular expression.

        Raises:
            Unknown: Not all layers were read.
        """
        if not self.is_complete:
            raise Unknown(pattern)
        wanted = re.compile(pattern)
        for path in sorted({path for layer in self._layers for path in layer if wanted.fullmatch(path)}):
            if (entry := self.find(path)) is not None:
                yield entry

    def _shared(self, entry: Entry, layer: dict[str, Entry]) -> Entry:
        """The entry with the content of the file that it is a hard link to, which is in the same layer or below."""
        if entry.kind != "file" or not entry.target:
            return entry
        other = layer.get(entry.target)
        return entry._replace(content=other.content if other else "")


def _hides(layer: dict[str, Entry], path: str) -> bool:
    """Whether a layer removes what the layers below have at a path."""
    here = path
    while here:
        folder, name = posixpath.split(here)
        if posixpath.join(folder, WHITEOUT + name) in layer:
            return True
        if posixpath.join(folder, OPAQUE) in layer:
            return True
        above = layer.get(folder)
        if above is not None and above.kind != "folder":
            return True
        here = folder
    return False


def _parents(path: str) -> Iterator[str]:
    # A whiteout needs no folder in its layer, but implies one as every entry does.
    while path := posixpath.dirname(path):
        yield path
