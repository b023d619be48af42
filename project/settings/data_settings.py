"""The table `[tool.vertex-training.data]`: the data sets that the script reads and that don't go into the image."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.errors import ProjectError
from ...core.output_folders import mounted_path
from .toml_lines import place_of

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,40}")
_URI = re.compile(r"gs://[a-z0-9][a-z0-9._-]+(/.*)?")
_KEYS = {"path", "include", "mode"}
_MODES = ("copy", "mount")
_COPIES = "vertex-training-data"
"""The folder in a job's working directory with the copies of data that lay in a bucket."""


@dataclass(frozen=True, slots=True)
class DataSetting:
    """A data set.

    Attributes:
        name: Its name.
        path: A folder or file of this machine, as the script opens it: relative to the project, or absolute; empty for
            data that lies in a bucket already.
        uri: `gs://BUCKET/PREFIX` of data that lies in a bucket already; else empty.
        include: Patterns of its files; empty for all.
        mode: "copy" to the job's disk, or "mount" to read it through /gcs; empty lets the sizes decide. Data of a
            bucket is mounted unless it says otherwise.
    """

    name: str
    path: str = ""
    uri: str = ""
    include: tuple[str, ...] = ()
    mode: str = ""

    def root(self, project: Path) -> Path:
        """Where it lies on this machine."""
        return project / Path(self.path).expanduser()

    @property
    def place(self) -> str:
        """Where the script opens it in a job: relative to its working directory, or absolute."""
        if self.path:
            return self.path
        if self.mode == "copy":  # the last part stays, because programs choose a reader by a file's ending
            return f"{_COPIES}/{self.name}/{self.uri.rpartition('/')[2]}"
        return mounted_path(self.uri)


def data_sets(value: object) -> tuple[DataSetting, ...]:
    """Reads the table.

    Raises:
        TypeError: It is no table of data sets.
        ValueError: A name, a path or a mode is invalid.
    """
    if not isinstance(value, dict):
        raise TypeError
    return tuple(_data_set(name, item) for name, item in value.items())


def flagged(words: Iterable[str]) -> tuple[DataSetting, ...]:
    """Data sets that a run names itself, each as NAME=PATH.

    Raises:
        ProjectError: A word has another form.
    """
    found = []
    for word in words:
        name, equals, path = word.partition("=")
        try:
            if not equals:
                raise ValueError(word)
            found.append(_data_set(name, path))
        except (TypeError, ValueError):
            raise ProjectError(
                f"{word!r} is no data set", where="--data", next_step="Write it as NAME=PATH or NAME=gs://BUCKET/FOLDER"
            ) from None
    return tuple(found)


def proposed_name(path: str) -> str:
    """A name for a data set that lies there: "images" for "raw/images/"."""
    last = path.rstrip("/").rpartition("/")[2].partition(".")[0]
    name = re.sub(r"[^A-Za-z0-9_-]", "-", last).strip("-")[:40]
    return name if name[:1].isalpha() else f"data-{name}".rstrip("-")


def _data_set(name: str, item: object) -> DataSetting:
    values: Mapping[str, Any] = item if isinstance(item, dict) else {"path": item}
    if not _NAME.fullmatch(name) or values.keys() - _KEYS:
        raise ValueError(name)
    path, include, mode = values.get("path"), values.get("include", []), values.get("mode", "")
    if not isinstance(path, str) or not path.strip() or "\0" in path:
        raise TypeError
    if not isinstance(include, list) or not all(isinstance(each, str) and each for each in include):
        raise TypeError
    if mode not in {"", *_MODES}:
        raise ValueError(mode)
    if path.startswith("gs://"):
        if not _URI.fullmatch(path):
            raise ValueError(path)
        return DataSetting(name, uri=path.rstrip("/"), include=tuple(include), mode=mode or "mount")
    clean = posixpath.normpath(os.path.expanduser(path) if path.startswith("~") else path)  # noqa: PTH111 - stays a text
    return DataSetting(name, clean, include=tuple(include), mode=mode)


def check_places(found: Iterable[DataSetting], script: str, root: Path) -> None:
    """Checks that no data set holds the script, or another data set, and that no two have one name.

    Raises:
        ProjectError: One does.
    """
    places: dict[str, str] = {}
    names: dict[str, str] = {}
    for each in found:
        where = place_of(root / "pyproject.toml", "tool.vertex-training.data", each.name)
        variable = re.sub(r"[^A-Za-z0-9]", "_", each.name).upper()
        if variable in names:
            raise ProjectError(
                f"the data sets {names[variable]} and {each.name} would have the same variable",
                where=where,
                next_step="Rename one of them",
            )
        names[variable] = each.name
        if not each.path:
            _refuse_patterns(each, where)
            continue
        if each.path == "." or f"{script}/".startswith(f"{each.path}/"):
            raise ProjectError(
                f"the data set {each.name} would hold the script {script}",
                where=where,
                next_step="Put the data into a folder of its own",
            )
        for path, name in places.items():
            if f"{each.path}/".startswith(f"{path}/") or f"{path}/".startswith(f"{each.path}/"):
                raise ProjectError(
                    f"the data sets {name} and {each.name} overlap: {path} and {each.path}",
                    where=where,
                    next_step="Declare the outer folder only, or two that lie side by side",
                )
        places[each.path] = each.name


def _refuse_patterns(data: DataSetting, where: str) -> None:
    if data.include:
        raise ProjectError(
            f"the data set {data.name} lies in a bucket, where `include` chooses nothing",
            where=where,
            next_step=f"Name the folder below {data.uri} with those files alone, or the object itself",
        )
