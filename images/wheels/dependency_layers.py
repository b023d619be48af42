"""Turns a lock into layers, and reuses the layers that exist.

In this order: this machine's record of the lock; the tag `deps-...` in the target, with which a registry serves as the
cache of a fresh machine; the layer cache, for each wheel; else the wheel is downloaded.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from ...core.errors import ImageError
from ...core.metering.meter import DOWNLOADING, MAKING_LAYERS, Item
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
from .wheel_layer import STARTS, write_wheel_layer

_UNUSED_AFTER = 90 * 24 * 3600.0  # seconds after which the records of a project that isn't built any more are removed
_UNKNOWN = 1 << 40  # bytes, for a lock without sizes: each big layer is sent as soon as it is made


@dataclass(frozen=True, slots=True)
class _Counted:
    """Where the work of one wheel is counted."""

    download: Item
    layer: Item


class LayersRemoved(ImageError):
    """The target has removed layers that it was recorded to have; the record is corrected, so a retry helps."""

    transient = True


class DependencyLayers:
    """The dependency layers of one build.

    Args:
        builder: Makes and stores the layers.
        cache: The cache folder that builds on this machine share.
        request: The image's request, with the lock.
        own_layers: How many wheels may have a layer of their own.

    Attributes:
        were_made: Whether `resolve` had to make layers.
    """

    def __init__(self, builder: LayerBuilder, cache: Path, request: ImageRequest, own_layers: int) -> None:
        self._builder = builder
        self.were_made = False
        self._request = request
        self._own_layers = own_layers
        self._folder = cache
        self._cache = LayerCache(cache / "wheels")
        self._records = DependencyRecords(cache / "sets")
        self._downloader = Downloader(cache / "downloads", stopped=builder.tasks.stopped, logins=request.logins)
        self._registry_cache = RegistryCache(builder, builder.uploads, own_layers) if builder.uploads else None

    def resolve(self) -> DependencySet:
        """The lock's layers, each in the layout or in the target; uploads and records are finished in the background.

        Raises:
            WheelError: A wheel can't be downloaded, or can't become a layer.
        """
        request = self._request
        name = record_name(request.lock, request.python, self._own_layers)
        known = self._records.load(name)
        found = known if known is not None and self._is_available(known, name) else self._find_or_make()
        self._builder.run_in_background(self._publish_and_record, name, known, found)
        return found

    def _publish_and_record(self, name: str, known: DependencySet | None, found: DependencySet) -> None:
        if self._registry_cache:
            found = self._registry_cache.publish(found)
        if found != known:
            self._records.save(name, found)

    def _is_available(self, found: DependencySet, name: str) -> bool:
        """Whether every layer is in the layout or in the target; layers of the cache are put into the layout."""
        started = time.perf_counter()
        absent = [layer for key, layer in found.layers if not self._in_store(key, layer)]
        if absent:
            if not (self._registry_cache and self._registry_cache.had(found)):
                return False
            uploads = self._builder.uploads
            # After something was missing there, the records are gone, and the target is asked for each layer.
            if uploads and not all(uploads.knows(layer.digest) for layer in absent) and not uploads.has_all(absent):
                return False
            self._builder.run_in_background(
                self._confirm, self._registry_cache, found, name
            )  # in the background: the target nearly always has them
        for _, layer in found.layers:
            self._builder.report(layer, "reused", started)
        return True

    def _confirm(self, registry_cache: RegistryCache, found: DependencySet, name: str) -> None:
        """Asks whether the target still has the layers.

        Raises:
            LayersRemoved: It doesn't; the record is corrected for the next build.
        """
        if not registry_cache.holds(found):
            self._records.save(name, replace(found, targets=()))
            raise LayersRemoved("the registry no longer has the dependencies' layers", next_step="Run again")

    def _in_store(self, key: str, layer: Layer) -> bool:
        if self._builder.has(layer):
            return True
        cached = self._cache.get(key)
        if cached is None or cached.layer.digest != layer.digest:
            return False
        self._builder.keep(layer, cached.path)
        self._cache.was_linked(cached)
        return True

    def _find_or_make(self) -> DependencySet:
        request = self._request
        wheels = read_lock(request.lock, request.python, request.root)
        lock = lock_hash(wheels, request.python)
        found = self._registry_cache.find(lock) if self._registry_cache and wheels else None
        return found or DependencySet(lock, self._make(wheels))

    def _make(self, wheels: Sequence[LockedWheel]) -> list[tuple[str, Layer]]:
        """Makes one layer for each big wheel, and one for the rest."""
        self.were_made = True
        python = self._request.python
        by_key = {wheel_key(wheel, python): wheel for wheel in wheels}
        # The lock's sizes only say which layers to send at once; the layers' sizes decide which are merged.
        likely = select_own_layers({key: wheel.size or _UNKNOWN for key, wheel in by_key.items()}, self._own_layers)
        running = {
            key: self._builder.tasks.fetch(
                self._make_wheel, by_key[key], key, key in likely, self._announced(key, by_key[key])
            )
            for key in _order({key: wheel.size for key, wheel in by_key.items()})
        }
        made = {key: running[key].result() for key in by_key}
        own = select_own_layers({key: cached.layer.size for key, cached in made.items()}, self._own_layers)
        for key in own - likely:
            self._deliver(made[key], time.perf_counter())
        layers = [(key, cached.layer) for key, cached in made.items() if key in own]
        small = {key: cached for key, cached in made.items() if key not in own}
        if small:
            layers.append(self._merge(small))
        self._remove_unused(frozenset(made))
        return layers

    def _remove_unused(self, used: frozenset[str]) -> None:
        """Removes cache entries that were used longest ago, and files that killed processes left."""
        self._cache.prune(used)
        for name, age in (("downloads", STALE), ("scratch", STALE), ("sets", _UNUSED_AFTER), ("code", _UNUSED_AFTER)):
            remove_old(self._folder / name, "*", age)

    def _announced(self, key: str, wheel: LockedWheel) -> _Counted:
        """Announces the work of one wheel, unless its layer is in the cache."""
        meters = self._builder.meters
        size = 0 if self._cache.has(key) else wheel.size or None
        # A layer is about as large as its wheel, whose files are compressed already.
        local = isinstance(wheel.source, Path)
        return _Counted(meters[DOWNLOADING].item(0 if local else size), meters[MAKING_LAYERS].item(size))

    def _make_wheel(self, wheel: LockedWheel, key: str, likely: bool, counted: _Counted) -> CachedLayer:
        started = time.perf_counter()

        def write(out: BinaryIO) -> Layer:
            path = self._downloader.fetch(wheel, counted.download)
            try:
                with self._builder.computing():
                    return write_wheel_layer(
                        counted.layer.writing(out), path, wheel.filename, self._request.python, wheel.title
                    )
            finally:
                self._downloader.release(path)

        with counted.download, counted.layer:
            cached = self._cache.get_or_make(key, write)
        if likely and cached.layer.size >= SMALL:
            self._deliver(cached, started)
        return cached

    def _merge(self, small: Mapping[str, CachedLayer]) -> tuple[str, Layer]:
        started = time.perf_counter()
        key = merged_key(list(small))
        title = f"{len(small)} small wheels" if len(small) > 1 else next(iter(small.values())).layer.title
        if len(small) > 1:  # those that run code at every start of Python are named
            title += "".join(f", {cached.layer.title}" for cached in small.values() if _STARTS in cached.layer.title)
        counted = self._builder.meters[MAKING_LAYERS].item(sum(cached.layer.size for cached in small.values()))

        def write(out: BinaryIO) -> Layer:
            with self._builder.computing():
                return merge_layers(counted.writing(out), [cached.path for cached in small.values()], title)

        with counted:
            merged = self._cache.get_or_make(key, write)
        self._deliver(merged, started)
        return key, merged.layer

    def _deliver(self, cached: CachedLayer, started: float) -> None:
        if cached.made:
            self._builder.deliver(cached.layer, cached.path, started)
        else:
            self._builder.keep(cached.layer, cached.path)
            self._builder.report(cached.layer, "reused", started)
        self._cache.was_linked(cached)


_STARTS = STARTS.partition("{")[0]


def _order(sizes: Mapping[str, int]) -> list[str]:
    """The biggest first, because it takes longest; then by size, so that uploads can start soon."""
    ascending = sorted(sizes, key=lambda key: sizes[key])
    return [*ascending[-1:], *ascending[:-1]]
