"""The code layers of the target's latest image, which a build reuses if their contents are the same.

Reading files is enough to compute a layer's diff ID, and costs a fraction of compressing and sending them. So a fresh
machine, and one whose files were only touched, don't make layers that exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.errors import RegistryError
from ...core.security.parsed_text import parse_json
from ..layers.layer_writer import Layer
from ..oci.config import PREFIX
from ..oci.content_tag import LATEST
from ..oci.target import ImageTarget
from .buckets import FORMAT

LABEL = f"{PREFIX}.layers"
"""The image label that says how the code layers were made: other ways give other digests for equal diff IDs."""

_LARGEST_CONFIG = 4 * 1024 * 1024


def layers_of_latest(target: ImageTarget) -> dict[str, Layer]:
    """The layers of the target's latest image by diff ID, without titles; empty if another version made them.

    Takes two requests. Empty too if the target can't be asked: the layers are then made.
    """
    try:
        found = target.get_manifest(LATEST)
        if found is None:
            return {}
        manifest: dict[str, Any] = parse_json(found[1])
        with target.open_blob(manifest["config"]["digest"]) as body:
            config: dict[str, Any] = parse_json(body.read(_LARGEST_CONFIG))
        return _by_diff_id(manifest, config)
    except (RegistryError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _by_diff_id(manifest: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Layer]:
    if config["config"]["Labels"].get(LABEL) != FORMAT:
        return {}
    pairs = zip(config["rootfs"]["diff_ids"], manifest["layers"], strict=True)
    return {diff_id: Layer("", layer["digest"], diff_id, layer["size"]) for diff_id, layer in pairs}
