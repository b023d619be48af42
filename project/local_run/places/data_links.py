"""Data sets in the local run: the data is used where it lies."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ....core.output_folders import mounted_path
from ....core.placeholders import data_values
from ....runtime.data_variable import path_variable
from ...settings.data_settings import DataSetting


def link_data(data: Iterable[DataSetting], root: Path, copy: Path) -> None:
    """Makes a link to each data set where the script opens it in the copy of the project.

    Args:
        data: The data sets.
        root: The project's folder.
        copy: Its copy, in which the script runs.
    """
    for each in data:
        if not each.path or Path(each.path).is_absolute():
            continue
        place = copy / each.path
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists() and not place.is_symlink():
            place.symlink_to(each.root(root))


def placeholders(data: Iterable[DataSetting]) -> dict[str, str]:
    """The values of `{data.NAME}` and `{data-uri.NAME}`; data of this machine has no URI here."""
    found = list(data)
    paths = {each.name: each.path or mounted_path(each.uri) for each in found}
    return data_values(paths, {each.name: each.uri or each.path for each in found})


def variables(data: Iterable[DataSetting], root: Path) -> dict[str, str]:
    """The variables with the paths of the data sets, which the runtime sets in a job."""
    values: dict[str, str] = {}
    for each in data:
        name = path_variable(each.name)
        values[name] = str(each.root(root)) if each.path else mounted_path(each.uri)
        values[f"{name}_URI"] = each.uri or values[name]
    return values
