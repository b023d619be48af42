"""Checks before the build that bucket and registry are in the job's region.

Vertex AI refuses a bucket in another region only when the job is created, which is after the build, or not at all.
https://cloud.google.com/vertex-ai/docs/general/locations
"""

from __future__ import annotations

import re

from ...core.errors import VertexError
from ..client.connection import Connection


def check_bucket(connection: Connection) -> None:
    """Checks that the bucket exists and is in the job's region; passes where the account may not read that.

    Raises:
        VertexError: The bucket is in another region, or doesn't exist; no answer came (then transient).
    """
    region = connection.models.region(connection.bucket).lower()
    if region in {"", connection.region}:
        return
    raise VertexError(
        f"the bucket is in {region}, and the job would run in {connection.region}",
        where=f"gs://{connection.bucket}",
        next_step="Name a bucket there in the VertexAI block: "
        f"gcloud storage buckets create gs://NAME --location={connection.region}",
        kind="invalid_request",
    )


def far_registry(host: str, region: str) -> str:
    """A warning where the image would be pulled from another region, which costs time and traffic; empty otherwise."""
    found = re.fullmatch(r"([a-z0-9-]+)-docker\.pkg\.dev", host)
    if found is None or region == found[1] or region.startswith(f"{found[1]}-"):
        return ""
    return f"the image is pulled from {host} into {region}: a repository in {region} would save time and traffic"
