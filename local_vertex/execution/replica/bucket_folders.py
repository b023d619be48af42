"""Buckets as folders of this machine."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

BUCKET_PATH = re.compile(r"(?:gs://|/gcs/)(?P<bucket>[a-z0-9][a-z0-9._-]*)/*(?P<rest>/.*)?", re.DOTALL)
"""A path in a bucket: a gs:// URI, or the same path where Vertex AI mounts buckets, below /gcs."""


def bucket_folder(buckets: Path, uri: str) -> Path:
    """The folder of this machine for a gs:// URI; created if missing.

    Args:
        buckets: The folder with one folder for each bucket.
        uri: `gs://BUCKET/PATH` or `/gcs/BUCKET/PATH`.

    Raises:
        ValueError: `uri` is neither.
    """
    match = BUCKET_PATH.fullmatch(uri)
    if match is None:
        raise ValueError(uri)
    folder = Path(f"{buckets / match['bucket']}{posixpath.normpath(match['rest'] or '/')}")
    make_shared(folder, buckets)
    return folder


def make_shared(folder: Path, buckets: Path) -> None:
    """Creates a folder of a bucket, or `buckets` itself, that any user of a container can write to, as with gcsfuse.

    Other users of this machine have no access: the service's own folder above has mode 0700.
    """
    for part in reversed([folder, *(parent for parent in folder.parents if parent.is_relative_to(buckets))]):
        part.mkdir(parents=True, exist_ok=True)
        if part.stat().st_mode & 0o777 != 0o777:
            part.chmod(0o777)
