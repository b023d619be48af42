"""What of a project goes into the image and what was left out because it is large: facts for people."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .project_file import ProjectFile

LARGEST_SHOWN = 10
FILE_LIMIT = 50_000_000
"""Bytes above which a data set or checkpoint is left out."""
FOLDER_LIMIT = 100_000_000
"""Bytes above which the data in a folder named as in `_DATA_FOLDERS` are left out."""

_DATA_FOLDERS = frozenset({"data", "dataset", "datasets", "checkpoint", "checkpoints", "ckpt", "ckpts"})
_DATA = frozenset(
    {
        *(".ckpt", ".pt", ".pth", ".bin", ".h5", ".hdf5", ".keras", ".safetensors", ".onnx", ".tflite", ".gguf", ".pb"),
        *(".pkl", ".pickle", ".joblib", ".npy", ".npz", ".mat", ".msgpack"),
        *(
            ".parquet",
            ".csv",
            ".tsv",
            ".jsonl",
            ".ndjson",
            ".feather",
            ".arrow",
            ".avro",
            ".orc",
            ".tfrecord",
            ".tfrecords",
        ),
        *(".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".sqlite", ".db", ".mdb", ".lmdb"),
        *(".wav", ".flac", ".mp3", ".mp4", ".avi", ".mkv", ".tif", ".tiff", ".nii", ".dcm", ".rec"),
    }
)
_SOURCES = frozenset(
    {
        *(".py", ".pyi", ".pyx", ".ipynb", ".sh", ".sql", ".md", ".rst", ".txt"),
        *(".json", ".yaml", ".yml", ".toml", ".cfg", ".ini"),
    }
)
_LARGEST_SOURCE = 1_000_000


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Data that stay out of the image because they are large.

    Attributes:
        path: Of the file; of a folder with a `/` at its end.
        files: How many.
        size: Bytes.
    """

    path: str
    files: int
    size: int


@dataclass(frozen=True, slots=True)
class Context:
    """What goes into the image, and what doesn't.

    Attributes:
        files: How many.
        size: Bytes.
        largest: The ten largest files, path and bytes.
        left_out: Large data; `include` in the settings takes them along.
    """

    files: int
    size: int
    largest: tuple[tuple[str, int], ...]
    left_out: tuple[LeftOut, ...]

    @classmethod
    def of(cls, files: Sequence[ProjectFile], left_out: Sequence[LeftOut] = ()) -> Context:
        """The facts about these files, sorted by path."""
        sizes = [file.size for file in files]
        largest = nlargest(LARGEST_SHOWN, range(len(sizes)), key=sizes.__getitem__)
        shown = tuple((files[place].path, sizes[place]) for place in largest)
        return cls(len(files), sum(sizes), shown, tuple(left_out))

    def lines(self) -> Iterator[str]:
        """A line for the files, and one for each thing left out."""
        largest = f"; the largest is {self.largest[0][0]} with {megabytes(self.largest[0][1])}" if self.largest else ""
        yield f"{self.files:,} files with {megabytes(self.size)}{largest}"
        for item in self.left_out:
            what = f"{item.files:,} data files" if item.path.endswith("/") else "data"
            yield (
                f"left out: {item.path}, {megabytes(item.size)} of {what}; the job won't have them."
                f' To take them along: include = ["/{item.path}"] under [tool.vertex-training]'
            )


def megabytes(size: int) -> str:
    """Bytes in MB of 10^6, few of them in kB."""
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.1f} kB"


def without_bulk(
    files: Sequence[ProjectFile], included: Callable[[str], bool]
) -> tuple[Sequence[ProjectFile], list[LeftOut]]:
    """Leaves out data sets and checkpoints above `FILE_LIMIT`, and data folders above `FOLDER_LIMIT`.

    Sources stay, also in a folder called `data`.

    Args:
        files: Sorted by path.
        included: Whether the settings put a path in whatever its size.
    """
    if sum([file.size for file in files]) <= FILE_LIMIT:
        return files, []
    paths = "\0".join([file.path for file in files]).lower()
    if max([file.size for file in files]) <= FILE_LIMIT and not any(f"{name}/" in paths for name in _DATA_FOLDERS):
        return files, []  # most projects; found out at once, not file by file
    left_out: dict[str, LeftOut] = {}
    folders: dict[str, list[ProjectFile]] = {}
    of_data: dict[str, str] = {}
    for file in files:
        path = file.path
        inside = path.rpartition("/")[0]
        folder = of_data.get(inside)
        if folder is None:
            folder = of_data[inside] = "" if inside and included(f"{inside}/") else _data_folder(inside)
        if file.size > FILE_LIMIT and _suffix(path) in _DATA and not included(path):
            left_out[path] = LeftOut(path, 1, file.size)
        elif folder and not _is_source(file) and not included(path):
            folders.setdefault(folder, []).append(file)
    gone = set(left_out)
    for folder, inside in folders.items():
        size = sum(file.size for file in inside)
        if size > FOLDER_LIMIT:
            left_out[folder] = LeftOut(folder, len(inside), size)
            gone.update(file.path for file in inside)
    return [file for file in files if file.path not in gone] if gone else files, sorted(left_out.values(), key=_size)


def _size(item: LeftOut) -> tuple[int, str]:
    return -item.size, item.path


def _data_folder(folder: str) -> str:
    """The outermost folder of `folder` that is named as data are, ending in "/"; empty for none."""
    parts = folder.split("/")
    place = next((place for place, part in enumerate(parts) if part.lower() in _DATA_FOLDERS), None)
    return "" if place is None else "/".join(parts[: place + 1]) + "/"


def _is_source(file: ProjectFile) -> bool:
    return file.size <= _LARGEST_SOURCE and _suffix(file.path) in _SOURCES


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()  # noqa: PTH122 - a `Path` for each of thousands of files is slow
