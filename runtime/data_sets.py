"""Provides the data sets of a job where the script opens them, before it starts."""

from __future__ import annotations

import os
from typing import Callable, Dict, List, Mapping

from .bucket_reader import BucketReader
from .data_copy import DataCopy, DataFailed, mark_of
from .data_variable import DataSet, path_variable
from .source_copy import SourceCopy


def provide(data_sets: List[DataSet], environ: Mapping[str, str], say: Callable[[str], None]) -> Dict[str, str]:
    """Copies each data set, or makes the link to it; returns the variables that name them.

    Args:
        data_sets: The data sets.
        environ: The job's variables.
        say: Writes a line to the job's log.

    Raises:
        DataFailed: One can't be provided; what of it was copied is not where the script opens it.
    """
    variables: Dict[str, str] = {}
    reader = BucketReader(environ)
    for data in data_sets:
        target = os.path.abspath(data.path) if data.path else data.mounted
        if data.path and _belongs_to_machine(target):
            say("data: %s is at %s already, which is left as it is" % (data.name, target))
        elif data.mode == "copy":
            (SourceCopy if data.listing else DataCopy)(data, target, reader, say).run()
        elif data.path:
            _link(data, target)
        name = path_variable(data.name)
        variables[name] = target
        variables[name + "_URI"] = data.uri
    return variables


def _belongs_to_machine(target: str) -> bool:
    """Whether there is something at a path outside of the working directory that this program has not put there.

    A job that runs as a process of a person's own machine finds the person's data at an absolute path.
    """
    if target.startswith(os.getcwd() + os.sep) or os.path.islink(target) or not os.path.exists(target):
        return False
    return not os.path.exists(mark_of(target)) and not (os.path.isdir(target) and not os.listdir(target))


def _link(data: DataSet, target: str) -> None:
    if not os.path.exists(data.mounted):
        raise DataFailed(
            "data: %s is not at %s: the bucket is not mounted, or the data is gone" % (data.name, data.mounted)
        )
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.islink(target):
            os.unlink(target)
        elif os.path.isdir(target):
            os.rmdir(target)
        os.symlink(data.mounted, target)
    except OSError as error:
        text = "data: the link %s to %s can't be made: %s"
        raise DataFailed(text % (target, data.name, error.strerror)) from error
