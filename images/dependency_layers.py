"""Turns a lock into layers in the store, doing as little as can be.

What is tried, in order: this machine's record of the lock; the tag `deps-...` in the target, which makes a registry the
cache of a fresh machine; the layer cache, wheel by wheel; the index that has the wheels.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import BinaryIO

from ..core.errors import RegistryError
from .config import OCI, blob_descriptor, image_config
from .dependencies import (
    SMALL,
    DependencyRecords,
    DependencySet,
    joined_key,
    read_set,
    record_name,
    select_alone,
    set_manifest,
    set_tag,
    tagged_in,
    wheel_key,
)
from .download import Downloader
from .join import join_layers
from .layer import Layer
from .layer_cache import CachedLayer, LayerCache
from .model import ImageRequest
from .pylock import LockedWheel, lock_hash, read_lock
from .wheel_layer import write_wheel_layer
from .workshop import Workshop

_UNKNOWN = 1 << 40  # bytes: a lock without sizes, so send each big layer as soon as it is made


class DependencyLayers:
    """The dependencies' part of a build.

    Args:
        shop: Where layers are made.
        cache: The folder that builds on this machine share.
        request: Whose lock it is.
        alone: How many wheels may have a layer of their own.
    """

    def __init__(self, shop: Workshop, cache: Path, request: ImageRequest, alone: int) -> None:
        self._shop = shop
        self._request = request
        self._alone = alone
        self._cache = LayerCache(cache / "wheels")
        self._records = DependencyRecords(cache / "sets")
        self._downloader = Downloader(cache / "downloads", stopped=shop.stopped)
        self._target = shop.target.reference("") if shop.target else ""

    def resolve(self) -> DependencySet:
        """The lock's layers, each in the store or already in the target.

        Raises:
            WheelError: A wheel can't be had, or can't become a layer.
            RegistryError: The target refused a layer.
        """
        request = self._request
        name = record_name(request.lock, request.python, self._alone)
        known = self._records.load(name)
        if known is not None and self._at_hand(known):
            found = known
        else:
            wheels = read_lock(request.lock, request.python, request.root)
            lock = lock_hash(wheels, request.python)
            found = self._from_target(lock) or DependencySet(lock, self._make(wheels))
        found = self._tag(found)
        if found != known:
            self._records.save(name, found)
        return found

    def _at_hand(self, found: DependencySet) -> bool:
        """Whether every layer is where it is needed; those in the cache are put into the store."""
        started = time.perf_counter()
        missing = [(key, layer) for key, layer in found.layers if not self._shop.store.has_blob(layer.digest)]
        for key, layer in missing:
            cached = self._cache.get(key)
            if cached and cached.layer.digest == layer.digest:
                self._shop.keep(layer, cached.path)
            elif not self._is_tagged(found):
                return False
        for _, layer in found.layers:
            self._shop.report(layer, "reused", started)
        return True

    def _is_tagged(self, found: DependencySet) -> bool:
        target = self._shop.target
        if target is None or self._target not in found.targets:
            return False
        return target.head_manifest(set_tag(found.lock, self._alone)) is not None

    def _from_target(self, lock: str) -> DependencySet | None:
        target = self._shop.target
        if target is None:
            return None
        started = time.perf_counter()
        answer = target.get_manifest(set_tag(lock, self._alone))
        found = read_set(answer[1], lock, self._target) if answer else None
        for _, layer in found.layers if found else ():
            self._shop.report(layer, "reused", started)
        return found

    def _tag(self, found: DependencySet) -> DependencySet:
        """Leaves the set in the target under its tag, so that another machine needs to make nothing."""
        target = self._shop.target
        if target is None or not found.layers or self._target in found.targets:
            return found
        config = image_config([layer for _, layer in found.layers], {})
        descriptor = blob_descriptor(OCI.config, config)
        for future in (
            self._shop.send_bytes(descriptor, config),
            *[self._shop.send(layer) for _, layer in found.layers],
        ):
            future.result()
        try:
            target.put_manifest(set_manifest(descriptor, found), OCI.manifest, [set_tag(found.lock, self._alone)])
        except RegistryError as error:
            if error.transient:
                raise
            return found  # a registry that takes no such tag only makes another machine build
        return tagged_in(found, self._target)

    def _make(self, wheels: Sequence[LockedWheel]) -> list[tuple[str, Layer]]:
        """One layer each for the big wheels, one for the rest."""
        python = self._request.python
        by_key = {wheel_key(wheel, python): wheel for wheel in wheels}
        # The lock's sizes only tell what is worth sending at once; what is joined is decided by the layers.
        likely = select_alone({key: wheel.size or _UNKNOWN for key, wheel in by_key.items()}, self._alone)
        running = {key: self._shop.start(self._make_wheel, wheel, key, key in likely) for key, wheel in by_key.items()}
        for future in as_completed(running.values()):
            future.result()  # the first failure ends the build, not the last
        made = {key: future.result() for key, future in running.items()}
        alone = select_alone({key: cached.layer.size for key, cached in made.items()}, self._alone)
        for key in alone - likely:
            self._deliver(made[key], time.perf_counter())
        layers = [(key, cached.layer) for key, cached in made.items() if key in alone]
        small = {key: cached for key, cached in made.items() if key not in alone}
        if small:
            layers.append(self._join(small))
        self._cache.prune(frozenset(made))
        return layers

    def _make_wheel(self, wheel: LockedWheel, key: str, likely: bool) -> CachedLayer:
        started = time.perf_counter()

        def write(out: BinaryIO) -> Layer:
            path = self._downloader.fetch(wheel)
            try:
                with self._shop.computing():
                    return write_wheel_layer(out, path, wheel.filename, self._request.python, wheel.title)
            finally:
                self._downloader.done_with(path)

        cached = self._cache.get_or_make(key, write)
        if likely and cached.layer.size >= SMALL:
            self._deliver(cached, started)
        return cached

    def _join(self, small: Mapping[str, CachedLayer]) -> tuple[str, Layer]:
        started = time.perf_counter()
        key = joined_key(list(small))
        title = f"{len(small)} small wheels" if len(small) > 1 else next(iter(small.values())).layer.title

        def write(out: BinaryIO) -> Layer:
            with self._shop.computing():
                return join_layers(out, [cached.path for cached in small.values()], title)

        joined = self._cache.get_or_make(key, write)
        self._deliver(joined, started)
        return key, joined.layer

    def _deliver(self, cached: CachedLayer, started: float) -> None:
        if cached.made:
            self._shop.deliver(cached.layer, cached.path, started)
        else:
            self._shop.keep(cached.layer, cached.path)
            self._shop.report(cached.layer, "reused", started)
