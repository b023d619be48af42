"""Git LFS pointers: small texts that stand in a work tree for large files which were not downloaded.

The format: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ...core.errors import ProjectError

KIND = "Git LFS pointer"
"""Kind of the finding that marks a pointer in the cache of contents."""

_LARGEST = 1024
"""Bytes. Pointers are shorter than this, says the specification."""
_FORM = re.compile(
    rb"version https://(?:git-lfs\.github\.com|hawser\.github\.com|git-media\.io)/[^\n]*\n"
    rb"(?:[a-z0-9.-]+ [^\n]*\n)*?oid sha256:[0-9a-f]{64}\r?\n(?:[a-z0-9.-]+ [^\n]*\n)*?size \d+\s*"
)


def is_pointer(content: bytes) -> bool:
    """Whether the whole content of a file is a pointer."""
    return len(content) < _LARGEST and content.startswith(b"version https://") and bool(_FORM.fullmatch(content))


def refuse_pointers(pointers: Sequence[str], root: Path) -> None:
    """Stops the run if the image would get pointers in place of files.

    Args:
        pointers: Paths of the pointers among the project's files.
        root: The project's folder.

    Raises:
        ProjectError: It names the first pointer, and all of them in its `detail`.
    """
    if not pointers:
        return
    more = f" and {len(pointers) - 1} more" if len(pointers) > 1 else ""
    verb = "are Git LFS pointers, not the files themselves" if more else "is a Git LFS pointer, not the file itself"
    raise ProjectError(
        f"{pointers[0]}{more} {verb}",
        where=root,
        next_step="Run: git lfs pull, or add what the job doesn't need to exclude under [tool.vertex-training]",
        detail="\n".join(pointers),
    )
