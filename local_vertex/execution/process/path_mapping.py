"""Maps paths of an image to this machine, for a replica that runs without a container.

Paths below /gcs and gs:// URIs stay where the process has a namespace in which /gcs leads to the buckets. Elsewhere, as
in most containers, both become folders of this machine: a script that turns the URI of its model's folder into a path
below /gcs would write into the machine's own root, where nobody finds it.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..replica.bucket_folders import BUCKET_PATH, make_shared
from .rootfs import Rootfs

# A path starts a word, or follows a separator of options and lists: --data=/app/data, PATH=/a:/b.
_PATH = re.compile(r"""(?P<before>^|[=:,;\s'"\[(])(?P<path>/[^/\s:,;'"\])\\][^\s:,;'"\])\\]*)""")

_URI = re.compile(r"""gs://(?P<bucket>[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?)(?P<rest>/[^\s:,;'"\])\\]*)?""")


class PathMapper:
    """Maps paths as a container would see them to paths of this machine.

    Args:
        rootfs: The unpacked image.
        buckets: The folder with one folder for each bucket.
        mounted: Whether the process sees the buckets below /gcs.
    """

    def __init__(self, rootfs: Rootfs, buckets: Path, *, mounted: bool) -> None:
        self._rootfs = rootfs
        self._buckets = buckets
        self._mounted = mounted

    def text(self, text: str) -> str:
        """Maps every path in an argument or a variable that the image or a bucket contains; keeps all other text."""
        if not self._mounted:
            text = _URI.sub(lambda uri: self.path(f"/gcs/{uri['bucket']}{uri['rest'] or ''}"), text)
        return _PATH.sub(lambda match: match["before"] + self.path(match["path"]), text)

    def path(self, path: str) -> str:
        """Maps one path and keeps a trailing slash. A path that the image doesn't contain stays as it is."""
        if self._mounted and path.startswith("/gcs/"):
            return path
        if bucket := BUCKET_PATH.fullmatch(path):
            clean = posixpath.normpath(bucket["rest"] or "/")
            folder = self._buckets / bucket["bucket"]
            make_shared(folder, self._buckets)
            return f"{folder}{clean if clean != '/' else ''}" + ("/" if path.endswith("/") else "")
        inside = self._rootfs.working_dir.rstrip("/")
        if inside and (path == inside or path.startswith(f"{inside}/")):
            return f"{self._rootfs.code}{path.removeprefix(inside)}"
        clean = posixpath.normpath(path)
        if clean not in {"/", "//"} and os.path.lexists(f"{self._rootfs.shared}{clean}"):
            return f"{self._rootfs.shared}{path}"
        return path

    def texts(self, texts: Sequence[str]) -> list[str]:
        """Maps the paths in each text."""
        return [self.text(text) for text in texts]

    def env(self, env: Mapping[str, str]) -> dict[str, str]:
        """Maps the paths in every value."""
        return {name: self.text(value) for name, value in env.items()}
