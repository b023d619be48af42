"""Turns a lock into layers in the store, doing as little as can be.

What is tried, in order: this machine's record of the lock; the tag `deps-...` in the target, which makes a registry the
cache of a fresh machine; the layer cache, wheel by wheel; the index that has the wheels.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from ...core.errors import ImageError
from ..layers.layer_cache import STALE, CachedLayer, LayerCache, remove_old
from ..layers.layer_writer import Layer
from ..layers.merge import merge_layers
from ..oci.image_types import ImageRequest
from ..pipeline.layer_builder import LayerBuilder
from .dependency_set import (
    SMALL,
    DependencyRecords,
    DependencySet,
    merged_key,
    record_name,
    select_own_layers,
    wheel_key,
)
from .download import Downloader
from .lockfile import LockedWheel, lock_hash, read_lock
from .registry_cache import RegistryCache
from .wheel_layer import write_wheel_layer

_FORGOTTEN = 90 * 24 * 3600.0  # seconds after which a project that isn't built any more is forgotten
_UNKNOWN = 1 << 40  # bytes: a lock without sizes, so send each big layer as soon as it is made


class LayersRemoved(ImageError):
    """The target has removed layers that it was known to have; they are no longer thought to be there."""

    transient = True


class DependencyLayers:
    """The dependencies' part of a build.

    Args:
        builder: Where layers are made.
        cache: The folder that builds on this machine share.
        request: Whose lock it is.
        alone: How many wheels may have a layer of their own.
    """

    def __init__(self, builder: LayerBuilder, cache: Path, request: ImageRequest, alone: int) -> None:
        self._builder = builder
        self._request = request
        self._alone = alone
        self._folder = cache
        self._cache = LayerCache(cache / "wheels")
        self._records = DependencyRecords(cache / "sets")
        self._downloader = Downloader(cache / "downloads", stopped=builder.tasks.stopped)
        self._shared = RegistryCache(builder, builder.uploads, alone) if builder.uploads else None

    def resolve(self) -> DependencySet:
        """The lock's layers, each in the store or already in the target; sending and remembering them goes on.

        Raises:
            WheelError: A wheel can't be had, or can't become a layer.
        """
        request = self._request
        name = record_name(request.lock, request.python, self._alone)
        known = self._records.load(name)
        found = known if known is not None and self._at_hand(known, name) else self._find_or_make()
        self._builder.later(self._end, name, known, found)
        return found

    def _end(self, name: str, known: DependencySet | None, found: DependencySet) -> None:
        if self._shared:
            found = self._shared.publish(found)
        if found != known:
            self._records.save(name, found)

    def _at_hand(self, found: DependencySet, name: str) -> bool:
        """Whether every layer is where it is needed; those in the cache are put into the store."""
        started = time.perf_counter()
        absent = [layer for key, layer in found.layers if not self._in_store(key, layer)]
        if absent:
            if not (self._shared and self._shared.had(found)):
                return False
            self._builder.later(self._confirm, self._shared, found, name)  # beside all else: nearly always it has them
        for _, layer in found.layers:
            self._builder.report(layer, "reused", started)
        return True

    def _confirm(self, shared: RegistryCache, found: DependencySet, name: str) -> None:
        """Asks whether the target still has the layers.

        Raises:
            LayersRemoved: It hasn't; the next build finds that out before anything else.
        """
        if not shared.holds(found):
            self._records.save(name, replace(found, targets=()))
            raise LayersRemoved("the registry no longer has the dependencies' layers", next_step="Run again")

    def _in_store(self, key: str, layer: Layer) -> bool:
        if self._builder.has(layer):
            return True
        cached = self._cache.get(key)
        if cached is None or cached.layer.digest != layer.digest:
            return False
        self._builder.keep(layer, cached.path)
        return True

    def _find_or_make(self) -> DependencySet:
        request = self._request
        wheels = read_lock(request.lock, request.python, request.root)
        lock = lock_hash(wheels, request.python)
        found = self._shared.find(lock) if self._shared and wheels else None
        return found or DependencySet(lock, self._make(wheels))

    def _make(self, wheels: Sequence[LockedWheel]) -> list[tuple[str, Layer]]:
        """One layer each for the big wheels, one for the rest."""
        python = self._request.python
        by_key = {wheel_key(wheel, python): wheel for wheel in wheels}
        # The lock's sizes only tell what is worth sending at once; what is joined is decided by the layers.
        likely = select_own_layers({key: wheel.size or _UNKNOWN for key, wheel in by_key.items()}, self._alone)
        running = {
            key: self._builder.tasks.fetch(self._make_wheel, by_key[key], key, key in likely)
            for key in _order({key: wheel.size for key, wheel in by_key.items()})
        }
        made = {key: running[key].result() for key in by_key}
        alone = select_own_layers({key: cached.layer.size for key, cached in made.items()}, self._alone)
        for key in alone - likely:
            self._deliver(made[key], time.perf_counter())
        layers = [(key, cached.layer) for key, cached in made.items() if key in alone]
        small = {key: cached for key, cached in made.items() if key not in alone}
        if small:
            layers.append(self._join(small))
        self._tidy(frozenset(made))
        return layers

    def _tidy(self, used: frozenset[str]) -> None:
        """Forgets what was used longest ago, and what killed processes left."""
        self._cache.prune(used)
        for name, age in (("downloads", STALE), ("scratch", STALE), ("sets", _FORGOTTEN), ("code", _FORGOTTEN)):
            remove_old(self._folder / name, "*", age)

    def _make_wheel(self, wheel: LockedWheel, key: str, likely: bool) -> CachedLayer:
        started = time.perf_counter()

        def write(out: BinaryIO) -> Layer:
            path = self._downloader.fetch(wheel)
            try:
                with self._builder.computing():
                    return write_wheel_layer(out, path, wheel.filename, self._request.python, wheel.title)
            finally:
                self._downloader.release(path)

        cached = self._cache.get_or_make(key, write)
        if likely and cached.layer.size >= SMALL:
            self._deliver(cached, started)
        return cached

    def _join(self, small: Mapping[str, CachedLayer]) -> tuple[str, Layer]:
        started = time.perf_counter()
        key = merged_key(list(small))
        title = f"{len(small)} small wheels" if len(small) > 1 else next(iter(small.values())).layer.title

        def write(out: BinaryIO) -> Layer:
            with self._builder.computing():
                return merge_layers(out, [cached.path for cached in small.values()], title)

        joined = self._cache.get_or_make(key, write)
        self._deliver(joined, started)
        return key, joined.layer

    def _deliver(self, cached: CachedLayer, started: float) -> None:
        if cached.made:
            self._builder.deliver(cached.layer, cached.path, started)
        else:
            self._builder.keep(cached.layer, cached.path)
            self._builder.report(cached.layer, "reused", started)


def _order(sizes: Mapping[str, int]) -> list[str]:
    """The biggest first, for it takes longest; then the smallest, so that the line to the target is soon in use."""
    ascending = sorted(sizes, key=lambda key: sizes[key])
    return [*ascending[-1:], *ascending[:-1]]
