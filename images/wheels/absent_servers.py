"""Finds the servers of a lock's wheels that don't answer any more, before a build wants to download from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from ...core.network.reachable import answers
from ..layers.layer_cache import LayerCache
from .dependency_set import wheel_key
from .download import ANEW
from .lockfile import LockedWheel, read_lock


def absent_servers(
    text: str, python: str, folder: Path, *, cache: Path, ask: Callable[[str], bool] = answers
) -> Iterator[str]:
    """One sentence for each server that has wheels which no layer on this machine replaces, and that doesn't answer.

    A lock whose wheels all became layers here asks for nothing on the network.

    Args:
        text: The lock.
        python: Minor version of the image's Python.
        folder: The folder that relative paths in the lock start from.
        cache: The cache folder that builds on this machine share.
        ask: Whether a server answers at a URL.

    Raises:
        WheelError: The lock is invalid.
    """
    layers = LayerCache(cache / "wheels")
    needed: dict[str, list[tuple[str, LockedWheel]]] = {}
    for wheel in read_lock(text, python, folder):
        if isinstance(wheel.source, str) and not layers.has(wheel_key(wheel, python)):
            host = urlsplit(wheel.source).netloc.rpartition("@")[2]
            needed.setdefault(host, []).append((wheel.source, wheel))
    for host, wheels in needed.items():
        if ask(wheels[0][0]):
            continue
        names = [wheel.title for _, wheel in wheels]
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        yield (
            f"{host} doesn't answer, and the lock has {', '.join(names[:2])}{more} from there: a build that needs to "
            f"download that will fail. Check the network; if that index is gone, resolve anew: {ANEW}"
        )
