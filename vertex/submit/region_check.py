"""Whether the bucket and the registry lie where the job is to run; asked before anything is built.

Vertex AI refuses a bucket elsewhere when the job is created, which is after the build, or the job can't write to it.
https://cloud.google.com/vertex-ai/docs/general/locations
"""

from __future__ import annotations

import re

from ...core.errors import VertexError
from ..client.connection import Connection


def check_bucket(connection: Connection) -> None:
    """Makes sure that the bucket is there and in the job's region; passes where the account may not ask.

    Raises:
        VertexError: It is elsewhere, or there is none; no answer came (then transient).
    """
    lies = connection.models.region(connection.bucket).lower()
    if lies in {"", connection.region}:
        return
    raise VertexError(
        f"the bucket lies in {lies}, and the job would run in {connection.region}",
        where=f"gs://{connection.bucket}",
        next_step="Name a bucket there in the VertexAI block: "
        f"gcloud storage buckets create gs://NAME --location={connection.region}",
        kind="invalid_request",
    )


def far_registry(host: str, region: str) -> str:
    """A warning where an image would be pulled from another region, which costs time and traffic; else nothing."""
    found = re.fullmatch(r"([a-z0-9-]+)-docker\.pkg\.dev", host)
    if found is None or region == found[1] or region.startswith(f"{found[1]}-"):
        return ""
    return f"the image is pulled from {host} into {region}: a repository in {region} spares time and traffic"
