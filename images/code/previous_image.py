"""Code layers that exist already: on this machine, and in the image that the target had last.

A layer's diff ID is known by reading its files, which costs a fraction of compressing and sending them. So a fresh
machine, and one whose files were only touched, make no layer that is there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ...core.errors import RegistryError
from ..layers.layer_writer import Layer
from ..oci.config import PREFIX
from ..oci.content_tag import LATEST
from ..oci.target import ImageTarget
from .buckets import FORMAT

LABEL = f"{PREFIX}.layers"
"""Of an image: how its code layers were made. Others may have the same diff IDs and other digests."""

_LARGEST_CONFIG = 4 * 1024 * 1024


def layers_of_latest(target: ImageTarget) -> dict[str, Layer]:
    """The layers of the target's latest image by diff ID, without titles; none if another version made them.

    Two requests. That the target can't be asked is no error: it only makes more to do.
    """
    try:
        found = target.get_manifest(LATEST)
        if found is None:
            return {}
        manifest: dict[str, Any] = json.loads(found[1])
        with target.open_blob(manifest["config"]["digest"]) as body:
            config: dict[str, Any] = json.loads(body.read(_LARGEST_CONFIG))
        return _by_diff_id(manifest, config)
    except (RegistryError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _by_diff_id(manifest: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Layer]:
    if config["config"]["Labels"].get(LABEL) != FORMAT:
        return {}
    pairs = zip(config["rootfs"]["diff_ids"], manifest["layers"], strict=True)
    return {diff_id: Layer("", layer["digest"], diff_id, layer["size"]) for diff_id, layer in pairs}
