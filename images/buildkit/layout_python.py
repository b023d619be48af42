"""Finds the Python in an image of the image layout, without an engine that could look into it."""

from __future__ import annotations

from pathlib import Path

from ...core.errors import BaseImageError
from ...core.security.parsed_text import parse_json
from ..base.inspect import Listings, merged_files
from ..base.interpreter_search import first_python
from ..docker.find_python import OLDEST
from ..oci.documents import manifest_blobs, read_config
from ..oci.layout import OciLayout


def find_python_in_layout(layout: OciLayout, digest: str, features: str, *, cache: Path) -> str:
    """The path of the first `python3`, else `python`, in the folders of the image's PATH.

    Args:
        layout: Has the image.
        digest: The image's manifest.
        features: The settings that need a Python in the image, for messages.
        cache: The folder that remembers what layers hold.

    Raises:
        BaseImageError: The image has no Python, or only one that is too old.
        RegistryError: A part of the image is missing or damaged.
    """
    with layout.open_blob(digest) as body:
        config, layers = manifest_blobs(parse_json(body.read()), digest)
    document = read_config(layout.open_blob(config.digest), digest)
    found = first_python(merged_files(layout, layers, Listings(cache / "bases" / "layers")), document["config"])
    if found is None:
        raise BaseImageError(
            f"{features} needs a Python in the image, and there is none in its PATH",
            where=layout.name,
            next_step=f"Install python3 in the Dockerfile, or remove {features} and save the model in AIP_MODEL_DIR",
        )
    path, version = found
    if version and int(version.partition(".")[2]) < OLDEST:
        raise BaseImageError(
            f"{features} needs Python 3.{OLDEST} or later in the image, and {path} is {version}",
            where=layout.name,
            next_step="Put a newer python3 first in the image's PATH",
        )
    return path
