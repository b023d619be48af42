"""The variable that tells the runtime which data sets the script reads, and where it opens them."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence

NAME = "VERTEX_TRAINING_DATA"
"""A JSON list of data sets."""


class DataSet(NamedTuple):
    """A data set of a job.

    Attributes:
        name: Its name in the project's settings.
        path: Where the script opens it, relative to its working directory or absolute; empty for data of a bucket that
            is read there.
        mode: "copy": it is copied there before the script starts. "mount": a link there leads to `mounted`.
        bucket: The bucket.
        manifest: The name of the manifest in it; empty for data that lay in a bucket already.
        mounted: The path below /gcs.
        uri: The same as a gs:// URI.
        listing: The hash of the listing, for a copy of data that lay in a bucket already; else empty.
    """

    name: str
    path: str
    mode: str
    bucket: str
    manifest: str
    mounted: str
    uri: str
    listing: str = ""


def encode(data_sets: Sequence[DataSet]) -> Dict[str, str]:
    """The variable for a job's environment; nothing without data sets."""
    # Vertex AI replaces `$(NAME)` and `$$` in values: the dollar sign is written as an escape.
    return {NAME: json.dumps([list(each) for each in data_sets]).replace("$", "\\u0024")} if data_sets else {}


def decode(environ: Mapping[str, str]) -> List[DataSet]:
    """The data sets in an environment; none if the variable isn't set.

    Raises:
        ValueError: The variable has another form.
    """
    text = environ.get(NAME, "")
    if not text:
        return []
    found = json.loads(text)
    if not isinstance(found, list) or not all(_is_data_set(item) for item in found):
        raise ValueError("not a list of data sets")
    return [DataSet(*item) for item in found]


def _is_data_set(item: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(item, list) and len(item) == len(DataSet._fields) and all(isinstance(x, str) for x in item)


def path_variable(name: str) -> str:
    """The variable with a data set's path, as VERTEX_TRAINING_DATA_TRAIN; with `_URI` at its end that with its URI."""
    return "%s_%s" % (NAME, re.sub(r"[^A-Za-z0-9]", "_", name).upper())
