"""Merges the layers of small wheels into one.

Their entries are compressed again, together: many small files in one stream get smaller than each alone. A layer must
not name a folder twice, which a concatenation of layers would do (docker and buildah refuse that).
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, BinaryIO

from .compression import small
from .layer_writer import CHUNK, Layer, LayerWriter


def merge_layers(out: BinaryIO, layers: Sequence[Path], title: str) -> Layer:
    """Writes one layer with the files of all `layers`; of files with the same path the last one counts, as in an image.

    Args:
        out: Receives the compressed layer.
        layers: Layers that hold only files and folders, as those of wheels do.
        title: The layer's title.
    """
    last = {name: number for number, path in enumerate(layers) for name in _names(path)}
    writer = LayerWriter(out, small)
    for number, path in enumerate(layers):
        with tarfile.open(path) as archive:
            for entry in archive:
                file = archive.extractfile(entry)
                if file is not None and last[entry.name] == number:
                    writer.add_file(entry.name, entry.size, _blocks(file), executable=bool(entry.mode & 0o100))
    return writer.finish(title)


def _names(path: Path) -> list[str]:
    with tarfile.open(path) as archive:
        return archive.getnames()


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(CHUNK):
        yield block
