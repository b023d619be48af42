"""The road's end: what the job left, file by file with checksums, and a receipt beside it."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.assets import Asset, materialize
from prefect.assets.core import AssetProperties
from prefect.cache_policies import NO_CACHE
from prefect.tasks import Task
from pydantic import ValidationError

from ..core.output_folders import model_folder
from ..vertex.client.connection import Connection
from ..vertex.job_types import Origin, Outcome, Receipt
from ..vertex.receipt.receipt_document import record_model
from .reporting.artifacts import artifact_key, copied, only_shown
from .reporting.events import model_event
from .reporting.step_log import step_log
from .retry_policy import STEP

_OPTIONS = {"name": "receipt", "cache_policy": NO_CACHE, **STEP}


def check_model(connection: Connection, outcome: Outcome, origin: Origin) -> Receipt:
    """Lists and checksums the model, and writes its receipt beside it.

    Raises:
        ModelMissing: The job left no new file in its model folder.
        VertexError: The model can't be read, or the receipt not written.
    """
    found = record_model(connection, outcome.name, origin)
    step_log("receipt")(f"{len(found.files)} files, {found.size:,} bytes in {found.model}; {found.document}")
    with only_shown():
        create_markdown_artifact(page(found), key=artifact_key("model"), description="The model that the job left")
    model_event(found)
    return found


receipt = task(check_model, **_OPTIONS)
"""The step where models are folders."""


def receipt_step(connection: Connection, output: str) -> Task[..., Receipt]:
    """The step for a job's output; a model in a bucket is registered as an asset of Prefect, too.

    Args:
        connection: Where the job ran.
        output: The job's `gs://BUCKET/PREFIX`.
    """
    uri = model_folder(output)
    if connection.models.location(uri) != uri:
        return receipt
    try:
        asset = Asset(key=uri, properties=AssetProperties(name=uri.rpartition("//")[2], url=_browser(uri)))
    except ValidationError:  # an asset's key has fewer characters than a folder's name may
        return receipt
    return materialize(asset, by="Vertex AI", **_OPTIONS)(check_model)


def page(receipt: Receipt) -> str:
    """The artifact's text."""
    rows = "\n".join(f"| {file.path} | {file.size:,} |" for file in receipt.files)
    sums = "\n".join(f"{file.sha256}  {file.path}" for file in receipt.files)
    link = f"[Open the model]({_browser(receipt.model)})\n\n" if receipt.model.startswith("gs://") else ""
    return (
        f"{link}{copied(receipt.model)}\n\n| file | bytes |\n|---|---:|\n{rows}\n\n"
        f"Checksums, as `sha256sum --check` reads them:\n{copied(sums)}\n\nReceipt:\n{copied(receipt.document)}\n"
    )


def _browser(uri: str) -> str:
    return f"https://console.cloud.google.com/storage/browser/{uri.removeprefix('gs://')}"
