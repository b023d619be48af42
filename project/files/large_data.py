"""Data sets and checkpoints that are too large for an image: they stay out unless the settings include them."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from .project_file import ProjectFile

FILE_LIMIT = 50_000_000
"""Bytes. A data file above this size is left out."""
FOLDER_LIMIT = 100_000_000
"""Bytes. The data in a folder named as in `_DATA_FOLDERS` is left out if it is larger in total."""

_DATA_FOLDERS = frozenset({"data", "dataset", "datasets", "checkpoint", "checkpoints", "ckpt", "ckpts"})
_DATA_SUFFIXES = frozenset(
    (
        *(".ckpt", ".pt", ".pth", ".bin", ".h5", ".hdf5", ".keras", ".safetensors", ".onnx", ".tflite", ".gguf", ".pb"),
        *(".pkl", ".pickle", ".joblib", ".npy", ".npz", ".mat", ".msgpack"),
        *(".parquet", ".csv", ".tsv", ".jsonl", ".ndjson", ".feather", ".arrow", ".avro", ".orc"),
        *(".tfrecord", ".tfrecords"),
        *(".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".sqlite", ".db", ".mdb", ".lmdb"),
        *(".wav", ".flac", ".mp3", ".mp4", ".avi", ".mkv", ".tif", ".tiff", ".nii", ".dcm", ".rec"),
    )
)
_SOURCE_SUFFIXES = frozenset(
    (
        *(".py", ".pyi", ".pyx", ".ipynb", ".sh", ".sql", ".md", ".rst", ".txt"),
        *(".json", ".yaml", ".yml", ".toml", ".cfg", ".ini"),
    )
)
_LARGEST_SOURCE = 1_000_000


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Large data that stays out of the image.

    Attributes:
        path: Of a file, or of a folder, which ends in "/".
        files: Number of files.
        size: Bytes.
    """

    path: str
    files: int
    size: int


def without_large_data(
    files: Sequence[ProjectFile], included: Callable[[str], bool]
) -> tuple[Sequence[ProjectFile], list[LeftOut]]:
    """Leaves out data files above `FILE_LIMIT`, and the data in data folders above `FOLDER_LIMIT`.

    Source files stay, also in a folder called `data`.

    Args:
        files: The project's files, sorted by path.
        included: Whether the settings include a path whatever its size; a folder ends in "/".

    Returns:
        The files that stay, and what was left out, largest first.
    """
    if not _may_hold_large_data(files):
        return files, []
    large = [file for file in files if _is_large_data(file) and not included(file.path)]
    left_out = [LeftOut(file.path, 1, file.size) for file in large]
    gone = {file.path for file in large}
    for folder, data in _by_data_folder(files, gone, included).items():
        size = sum(file.size for file in data)
        if size > FOLDER_LIMIT:
            left_out.append(LeftOut(folder, len(data), size))
            gone.update(file.path for file in data)
    stay = [file for file in files if file.path not in gone] if gone else files
    return stay, sorted(left_out, key=lambda item: (-item.size, item.path))


def _may_hold_large_data(files: Sequence[ProjectFile]) -> bool:
    """False for most projects, by two quick looks at all files."""
    if sum([file.size for file in files]) <= FILE_LIMIT:
        return False
    paths = "\0".join([file.path for file in files]).lower()
    return max([file.size for file in files]) > FILE_LIMIT or any(f"{name}/" in paths for name in _DATA_FOLDERS)


def is_data(path: str) -> bool:
    """Whether a path looks like data: a folder, which ends in "/", or a file with a data file's suffix."""
    return path.endswith("/") or _suffix(path) in _DATA_SUFFIXES


def _is_large_data(file: ProjectFile) -> bool:
    return file.size > FILE_LIMIT and _suffix(file.path) in _DATA_SUFFIXES


def _by_data_folder(
    files: Sequence[ProjectFile], gone: Collection[str], included: Callable[[str], bool]
) -> dict[str, list[ProjectFile]]:
    """The data in each data folder, without what is `gone` already."""
    parents = {file.path.rpartition("/")[0] for file in files}
    folder_of = {
        parent: folder
        for parent in parents
        if (folder := _data_folder(parent)) is not None and not included(f"{parent}/")
    }
    if not folder_of:
        return {}
    found: dict[str, list[ProjectFile]] = {}
    for file in files:
        folder = folder_of.get(file.path.rpartition("/")[0])
        if folder and file.path not in gone and not _is_source(file) and not included(file.path):
            found.setdefault(folder, []).append(file)
    return found


def _data_folder(folder: str) -> str | None:
    """The outermost part of `folder` that has the name of a data folder, ending in "/"; None without one."""
    parts = folder.split("/")
    place = next((place for place, part in enumerate(parts) if part.lower() in _DATA_FOLDERS), None)
    return None if place is None else "/".join(parts[: place + 1]) + "/"


def _is_source(file: ProjectFile) -> bool:
    return file.size <= _LARGEST_SOURCE and _suffix(file.path) in _SOURCE_SUFFIXES


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()  # noqa: PTH122 - a `Path` for each of thousands of files is slow
