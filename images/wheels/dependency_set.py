"""The layers of a lock's dependencies, and their records: on this machine, and as a tag in the registry.

In the cache each wheel has a layer of its own. In an image the big wheels keep theirs, so that a changed version sends
only that layer; the small ones are merged, because container engines allow about 125 layers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ...core.integrity.sealed_json import read_sealed, write_sealed
from ...core.security.parsed_text import parse_json
from ..layers.compression import PORTABLE
from ..layers.layer_writer import Layer
from ..oci.config import DIFF_ID, KEY, OCI, TITLE, image_manifest, layer_descriptor
from ..oci.image_types import Descriptor
from .lockfile import LockedWheel

FORMAT = "5"
"""Version of the wheel layers' bytes; raise it when they change, so that older layers aren't reused."""

MAX_OWN_LAYERS = 20
"""The largest number of wheels that get a layer of their own."""

SMALL = 128 * 1024
"""Bytes of a layer below which a request takes longer than sending the layer."""


@dataclass(frozen=True, slots=True)
class DependencySet:
    """The layers of one lock.

    Attributes:
        lock: Hash of the locked wheels, hexadecimal.
        layers: The layers in the image's order, each with its key in the layer cache.
        targets: The targets in which the set is tagged: they have the layers, which needn't be on this machine.
    """

    lock: str
    layers: Sequence[tuple[str, Layer]]
    targets: Sequence[str] = ()


def wheel_key(wheel: LockedWheel, python: str) -> str:
    """The cache key of a wheel's layer: a hash of everything that decides its bytes."""
    return _hash(FORMAT, PORTABLE, python, wheel.filename, wheel.sha256)


def set_tag(lock: str, own_layers: int) -> str:
    """The tag of a lock's layers in a registry, by which a fresh machine finds them."""
    return f"deps-{_hash(FORMAT, PORTABLE, lock, str(own_layers))[:40]}"


def select_own_layers(sizes: dict[str, int], count: int) -> set[str]:
    """The keys of the wheels that get a layer of their own, chosen by the layers' sizes in bytes."""
    ranked = sorted(sizes, key=lambda key: (-sizes[key], key))
    return {key for key in ranked[:count] if sizes[key] >= SMALL}


def merged_key(keys: Sequence[str]) -> str:
    """The cache key of the layer that these layers are merged into, in this order."""
    return _hash("joined", *keys)


class DependencyRecords:
    """This machine's records of the layers of locks; a lost or damaged record only costs time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, name: str) -> DependencySet | None:
        """The set recorded under `name`; None if there is none."""
        try:
            state = read_sealed(self._folder / f"{name}.json")
            if state is None:
                return None
            layers = [(key, Layer(**layer)) for key, layer in state["layers"]]
            return DependencySet(state["lock"], layers, state["targets"])
        except (KeyError, TypeError):  # of another version
            return None

    def save(self, name: str, found: DependencySet) -> None:
        """Records a set."""
        write_sealed(self._folder / f"{name}.json", asdict(found))


def record_name(lock: str, python: str, own_layers: int) -> str:
    """The name of the record of a lock's text."""
    return _hash(FORMAT, PORTABLE, python, str(own_layers), lock)[:40]


def set_manifest(config: Descriptor, found: DependencySet) -> bytes:
    """The manifest that the set's tag names; always in OCI's format, because Docker's has no annotations."""
    return image_manifest(OCI, config, [], [layer_descriptor(OCI, layer, key) for key, layer in found.layers], {})


def read_set(manifest: bytes, lock: str, target: str) -> DependencySet | None:
    """The set that a manifest in `target` describes; None if the manifest isn't that of a set."""
    try:
        layers = [
            (
                item["annotations"][KEY],
                Layer(item["annotations"][TITLE], item["digest"], item["annotations"][DIFF_ID], item["size"]),
            )
            for item in parse_json(manifest)["layers"]
        ]
    except (ValueError, KeyError, TypeError):
        return None
    return DependencySet(lock, layers, [target])


def tagged_in(found: DependencySet, target: str) -> DependencySet:
    """The same set, recorded as tagged in `target` too."""
    return found if target in found.targets else replace(found, targets=[*found.targets, target])


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
