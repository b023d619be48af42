"""Which layers a lock's wheels become, and where the answer is kept: on this machine and, as a tag, in the registry.

Each wheel is made into a layer of its own in the cache. In an image the big ones stay alone, so that a changed version
sends nothing but itself; the small ones are joined, because engines allow about 125 layers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ...core.files import write_atomic
from ..layers.compression import PORTABLE
from ..layers.layer_writer import Layer
from ..oci.config import DIFF_ID, KEY, OCI, TITLE, image_manifest, layer_descriptor
from ..oci.image_types import Descriptor
from .lockfile import LockedWheel

FORMAT = "3"
"""Of a wheel layer's bytes; raise it when they change, so that nothing older is reused."""

MAX_OWN_LAYERS = 20
"""Wheels that get a layer to themselves."""

SMALL = 128 * 1024
"""Bytes of a layer; below it a request costs more than what it carries."""


@dataclass(frozen=True, slots=True)
class DependencySet:
    """The layers of one lock.

    Attributes:
        lock: Hash of what is locked, hexadecimal.
        layers: In the image's order, each with its key in the layer cache.
        targets: Where the set is tagged: there no layer needs to be sent or even be on this machine.
    """

    lock: str
    layers: Sequence[tuple[str, Layer]]
    targets: Sequence[str] = ()


def wheel_key(wheel: LockedWheel, python: str) -> str:
    """Names a wheel's layer by all that decides its bytes."""
    return _hash(FORMAT, PORTABLE, python, wheel.filename, wheel.sha256)


def set_tag(lock: str, alone: int) -> str:
    """The tag of a lock's layers in a registry: a fresh machine asks for it instead of making them."""
    return f"deps-{_hash(FORMAT, PORTABLE, lock, str(alone))[:40]}"


def select_own_layers(sizes: dict[str, int], count: int) -> set[str]:
    """The keys of the wheels that get a layer to themselves, by their layers' sizes in bytes."""
    ranked = sorted(sizes, key=lambda key: (-sizes[key], key))
    return {key for key in ranked[:count] if sizes[key] >= SMALL}


def merged_key(keys: Sequence[str]) -> str:
    """Names the layer that the layers with these keys are joined to, in that order."""
    return _hash("joined", *keys)


class DependencyRecords:
    """This machine's memory of lock texts; a lost or broken record only costs time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, name: str) -> DependencySet | None:
        """The set remembered under `name`."""
        try:
            state = json.loads((self._folder / f"{name}.json").read_bytes())
            layers = [(key, Layer(**layer)) for key, layer in state["layers"]]
            return DependencySet(state["lock"], layers, state["targets"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, name: str, found: DependencySet) -> None:
        """Remembers a set."""
        write_atomic(self._folder / f"{name}.json", json.dumps(asdict(found)))


def record_name(lock: str, python: str, alone: int) -> str:
    """Names the record of a lock's text."""
    return _hash(FORMAT, PORTABLE, python, str(alone), lock)[:40]


def set_manifest(config: Descriptor, found: DependencySet) -> bytes:
    """The manifest that the set's tag stands for; always OCI, for only that format has annotations."""
    return image_manifest(OCI, config, [], [layer_descriptor(OCI, layer, key) for key, layer in found.layers], {})


def read_set(manifest: bytes, lock: str, target: str) -> DependencySet | None:
    """The set that a manifest in `target` describes; None if it isn't one of ours."""
    try:
        layers = [
            (
                item["annotations"][KEY],
                Layer(item["annotations"][TITLE], item["digest"], item["annotations"][DIFF_ID], item["size"]),
            )
            for item in json.loads(manifest)["layers"]
        ]
    except (ValueError, KeyError, TypeError):
        return None
    return DependencySet(lock, layers, [target])


def tagged_in(found: DependencySet, target: str) -> DependencySet:
    """The same set, known to be tagged in `target` too."""
    return found if target in found.targets else replace(found, targets=[*found.targets, target])


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
