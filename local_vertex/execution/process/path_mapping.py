"""Paths of an image and of buckets, as a replica without a container finds them on this machine."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from .rootfs import Root

# A path begins a word, or follows what separates words in options and lists: --data=/app/data, PATH=/a:/b.
_PATH = re.compile(r"""(?P<before>^|[=:,;\s'"\[(])(?P<path>gs://[^\s:,;'"\])\\]+|/[^/\s:,;'"\])\\][^\s:,;'"\])\\]*)""")
_BUCKET = re.compile(r"(?:gs://|/gcs/)(?P<bucket>[a-z0-9][a-z0-9._-]*)/*(?P<rest>/.*)?", re.DOTALL)


class Translator:
    """From paths as a container would see them to this machine's.

    Args:
        root: The unpacked image.
        buckets: The folder whose folders are the buckets.
    """

    def __init__(self, root: Root, buckets: Path) -> None:
        self._root = root
        self._buckets = buckets

    def text(self, text: str) -> str:
        """Every path in an argument or a variable that the image or a bucket has; other text stays."""
        return _PATH.sub(lambda match: match["before"] + self.path(match["path"]), text)

    def path(self, path: str) -> str:
        """One path; a trailing slash is kept. A path that the image doesn't have is this machine's own."""
        if bucket := _BUCKET.fullmatch(path):
            clean = posixpath.normpath(bucket["rest"] or "/")
            folder = self._buckets / bucket["bucket"]
            share(folder, self._buckets)
            return f"{folder}{clean if clean != '/' else ''}" + ("/" if path.endswith("/") else "")
        inside = self._root.working_dir.rstrip("/")
        if inside and (path == inside or path.startswith(f"{inside}/")):
            return f"{self._root.code}{path.removeprefix(inside)}"
        clean = posixpath.normpath(path)
        if clean not in {"/", "//"} and os.path.lexists(f"{self._root.shared}{clean}"):
            return f"{self._root.shared}{path}"
        return path

    def texts(self, texts: Sequence[str]) -> list[str]:
        """Each of them."""
        return [self.text(text) for text in texts]

    def env(self, env: Mapping[str, str]) -> dict[str, str]:
        """Every value."""
        return {name: self.text(value) for name, value in env.items()}


def bucket_folder(buckets: Path, uri: str) -> Path:
    """Where a gs:// folder lies on this machine; it is made.

    Raises:
        ValueError: It is none.
    """
    match = _BUCKET.fullmatch(uri)
    if match is None:
        raise ValueError(uri)
    folder = Path(f"{buckets / match['bucket']}{posixpath.normpath(match['rest'] or '/')}")
    share(folder, buckets)
    return folder


def share(folder: Path, buckets: Path) -> None:
    """Makes a folder of a bucket, or `buckets` itself, writable for any user of a container, as gcsfuse does.

    The service's own folder above is its owner's alone, so nobody else on this machine gets here.
    """
    for part in reversed([folder, *(parent for parent in folder.parents if parent.is_relative_to(buckets))]):
        part.mkdir(parents=True, exist_ok=True)
        if part.stat().st_mode & 0o777 != 0o777:
            part.chmod(0o777)
