"""The road's end: what the job left, file by file, with checksums."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from ..vertex import receipt as engine
from ..vertex.connection import Connection
from ..vertex.model import Receipt
from .artifacts import artifact_key
from .events import model_event
from .log import step_log
from .policy import STEP


@task(name="receipt", cache_policy=NO_CACHE, **STEP)
def receipt(connection: Connection, output: str) -> Receipt:
    """Lists and checksums the model.

    Raises:
        ModelMissing: The job left no file in its model folder.
    """
    found = engine.receipt(connection, output)
    step_log("receipt")(f"{len(found.files)} files, {found.size:,} bytes in {found.model}")
    rows = "\n".join(f"| {file.path} | {file.size:,} | `{file.sha256}` |" for file in found.files)
    create_markdown_artifact(
        f"`{found.model}`\n\n| file | bytes | sha256 |\n|---|---:|---|\n{rows}\n",
        key=artifact_key("model"),
        description="The model that the job left",
    )
    model_event(found)
    return found
