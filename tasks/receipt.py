"""Step 5, last part: checks the model that the job saved, and writes a receipt with checksums beside it."""

from __future__ import annotations

from dataclasses import asdict
from urllib.parse import quote

from prefect import task
from prefect.assets import Asset, materialize
from prefect.assets.core import AssetProperties
from prefect.cache_policies import NO_CACHE
from prefect.tasks import Task
from pydantic import ValidationError

from ..core.metering.reading import file_count
from ..core.output_folders import model_folder
from ..vertex.client.connection import Connection
from ..vertex.job_types import JobRequest, ModelFile, Origin, Outcome, Receipt
from ..vertex.receipt.receipt_document import named_places, record_model
from .reporting.artifacts import optional_display, write_page
from .reporting.events import model_event
from .reporting.markdown import copyable, fenced, link, table
from .reporting.progress import step_meters
from .reporting.step_log import step_log
from .retry_policy import STEP
from .step_results import step_result

SHOWN_FILES = 200
"""Files on the model's page."""

_OPTIONS = {
    "name": "receipt",
    "cache_policy": NO_CACHE,
    "result_serializer": step_result("vertex.job_types.Receipt"),
    **STEP,
}


def check_model(connection: Connection, outcome: Outcome, origin: Origin) -> Receipt:
    """Lists the model's files, computes their checksums, and writes the receipt beside them.

    Raises:
        ModelMissing: The job saved no new file in its model folder.
        VertexError: The model can't be read, or the receipt can't be written.
    """
    metrics = {name: asdict(metric) for name, metric in outcome.metrics.items()}
    found = record_model(connection, outcome.name, origin, metrics=metrics, meters=step_meters())
    step_log("receipt")(f"{file_count(len(found.files))}, {found.size:,} bytes in {found.model}; {found.document}")
    with optional_display():
        write_page(page(found), "model", "The model that the job saved")
    model_event(found)
    return found


receipt = task(check_model, **_OPTIONS)
"""The step for models in folders of this machine."""


def receipt_step(connection: Connection, request: JobRequest) -> Task[..., Receipt]:
    """The step for a job's output; it also registers a model in a bucket as a Prefect asset.

    The asset's key is the place that the arguments or variables name for the model, else the job's own folder.

    Args:
        connection: Where the job ran.
        request: The job.
    """
    named = named_places([*request.command, *request.args], request.env, request.output)
    uri = next((place.folder for place in named if place.name), model_folder(request.output))
    if connection.models.location(uri) != uri:
        return receipt
    try:
        asset = Asset(key=uri, properties=AssetProperties(name=uri.rpartition("//")[2], url=storage_page(uri)))
    except ValidationError:  # a folder's name may have characters that an asset's key may not
        return receipt
    return materialize(asset, by="Vertex AI", **_OPTIONS)(check_model)


def page(receipt: Receipt) -> str:
    """The artifact's Markdown; of a model with many files the first ones, since the receipt has all."""
    shown = receipt.files[:SHOWN_FILES]
    files = table(["file", "bytes"], [(file.path, f"{file.size:,}") for file in shown], numbers={1})
    more = len(receipt.files) - len(shown)
    parts = [
        link("Open the model", storage_page(receipt.model)) if receipt.model.startswith("gs://") else "",
        f"Model: {copyable(receipt.model)}",
        f"{file_count(len(receipt.files))}, {receipt.size:,} bytes",
        files,
        f"... and {more:,} more files: the receipt lists all" if more else "",
        f"Checksums, as `sha256sum --check` reads them:\n{fenced(chr(10).join(map(_checksum, shown)))}",
        f"Receipt: {copyable(receipt.document)}",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _checksum(file: ModelFile) -> str:
    """One line of a list of checksums; a name with a line break is escaped as sha256sum does it."""
    name = file.path.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{'' if name == file.path else chr(92)}{file.sha256}  {name}"


def storage_page(uri: str) -> str:
    """Address of a `gs://` folder's page in the console."""
    return f"https://console.cloud.google.com/storage/browser/{quote(uri.removeprefix('gs://'))}"
