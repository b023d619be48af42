"""The digest cache: a content fingerprint is a tag beside the image, so any machine finds what another one built."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from ..core.errors import storage_errors
from ..core.home import Home
from .model import BuiltImage

if TYPE_CHECKING:
    from .target import ImageTarget

LATEST = "latest"
"""The tag of the newest image of a name, for people; and for a machine that has built nothing yet."""

# Part of every fingerprint: raise it when the same request gives another image than before.
_RECIPE = "2"


def image_fingerprint(
    project_fingerprint: str,
    lock_digest: str,
    *,
    base_digest: str,
    builder: str,
    content: Sequence[str] = (),
) -> str:
    """One hash over everything that decides what an image holds: 64 hexadecimal digits.

    Args:
        project_fingerprint: Of the project's files and settings.
        lock_digest: Of the frozen dependencies.
        base_digest: Of the base image as the registry gives it now; empty for none.
        builder: "direct" or "docker".
        content: What else the builder looks at: for Docker `docker_context.context_digest` and each base's digest.
    """
    facts = [_RECIPE, project_fingerprint, lock_digest, base_digest, builder, *content]
    # JSON keeps the borders between facts: ("ab", "c") is not ("a", "bc").
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def image_tag(fingerprint: str) -> str:
    """The tag by which an image of this content is found: `fp-` and 128 bits of the fingerprint."""
    return f"fp-{fingerprint[:32]}"


def find(target: ImageTarget, fingerprint: str) -> BuiltImage | None:
    """The image of this content as `target` confirms it now, by one request; None if it has none.

    Raises:
        RegistryDenied: Who asks may not read there.
        RegistryUnavailable: Transient.
    """
    manifest = target.head_manifest(image_tag(fingerprint))
    if manifest is None:
        return None
    return BuiltImage(target.reference(manifest.digest), manifest.digest, manifest.media_type, size=0)


@contextmanager
def building(fingerprint: str, home: Home, waiting: Callable[[str], None] = lambda _: None) -> Iterator[bool]:
    """One process of this machine at a time is in here for one fingerprint; others wait.

    Yields whether it had to wait, that is whether another run may have made the image meanwhile. The lock is the
    kernel's own and ends with its process, however that ended: nothing stale is left.

    Args:
        fingerprint: Of the image.
        home: Where the lock lies.
        waiting: Told once, before a wait, for whom it is.
    """
    path = home.cache / "building" / f"{fingerprint[:32]}.lock"
    with storage_errors(path):
        path.parent.mkdir(exist_ok=True)
        file = path.open("a+")
    with file:
        waited = not _try_lock(file)
        if waited:
            waiting(f"waiting for {path.read_text() or 'another run'}, which makes the same image")
            fcntl.flock(file, fcntl.LOCK_EX)
        _sign(file)
        yield waited


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sign(file: IO[str]) -> None:
    file.seek(0)
    file.truncate()
    file.write(f"process {os.getpid()} on {socket.gethostname()}")
    file.flush()
