"""Lists the files of the model that a job saved in `<output>/model/`, each with its checksum."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from ...core.errors import ModelMissing, VertexError
from ...core.metering.meter import Item, Meters
from ...core.output_folders import LiteralOutput, model_folder
from ..client.calls import patiently
from ..client.connection import Connection
from ..client.storage import ModelStore, StoredObject
from ..job_types import ModelFile, Receipt
from .timestamps import timestamp

CHECKSUMS = "checksums"
"""What is counted: the model's bytes that were read."""

LISTINGS = 3
"""How often an empty folder is listed: listings are consistent, but a write by gcsfuse may arrive a moment later."""

CLOCK_SKEW = 1.0
"""Seconds by which a bucket's clock may be behind that of Vertex AI."""


def list_model(
    connection: Connection,
    output: str,
    others: Sequence[LiteralOutput] = (),
    *,
    since: float = 0.0,
    meters: Meters | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Receipt:
    """Lists the model of a job that succeeded and reads every file once for its sha256.

    Args:
        connection: Connection to where the job ran.
        output: The job's `gs://BUCKET/PREFIX`.
        others: Other places in buckets where the job may have saved the model, the likeliest first. They count if the
            job's own folder holds nothing new, and only with the objects that are newer than the job.
        since: When the job was created, seconds since 1970. A folder with nothing newer holds another job's model.
        meters: Where the bytes that are read are counted.
        sleep: Waits that many seconds.

    Raises:
        ModelMissing: The folder is empty, or nothing in it is newer than the job.
        VertexError: The folder can't be read; transient when no answer came.
    """
    folder, found = locate_model(connection, output, others, since=since, sleep=sleep)
    return read_model(connection.models, folder, found, meters)


def locate_model(
    connection: Connection,
    output: str,
    others: Sequence[LiteralOutput] = (),
    *,
    since: float = 0.0,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[str, list[StoredObject]]:
    """The `gs://` folder in which a job saved its model, and the objects there.

    Arguments and errors are those of `list_model`.
    """
    folder = model_folder(output)
    store = connection.models
    found: list[StoredObject] = []
    for listing in range(LISTINGS):
        if listing:
            sleep(connection.poll)
        found = patiently(lambda: store.objects(model_folder(output)), connection, clock=time.time, sleep=sleep)
        if any(_is_new(item, since) for item in found):
            return folder, found
        if chosen := _elsewhere(connection, others, since, sleep):
            return chosen
    raise _missing(store, folder, found)


def read_model(store: ModelStore, folder: str, found: Sequence[StoredObject], meters: Meters | None = None) -> Receipt:
    """Reads every file of a model once for its sha256.

    Args:
        store: Where the model is.
        folder: Its `gs://` folder.
        found: Its objects.
        meters: Where the bytes that are read are counted.

    Raises:
        VertexError: A file can't be read, or changed meanwhile.
    """
    reading = (meters or Meters())[CHECKSUMS]
    counted = [reading.item(item.size) for item in found]
    # Several threads overlap hashing with the network: a model has few files, some of them large.
    with ThreadPoolExecutor(max_workers=4) as pool:
        files = list(pool.map(partial(_checked, store, folder), found, counted))
    return Receipt(store.location(folder), files)


def _is_new(item: StoredObject, since: float) -> bool:
    return item.updated >= since - CLOCK_SKEW


def _elsewhere(
    connection: Connection, others: Sequence[LiteralOutput], since: float, sleep: Callable[[float], None]
) -> tuple[str, list[StoredObject]] | None:
    """The first of the other places with new objects, and these; None if there is none."""
    for place in others:
        found = patiently(
            lambda uri=place.folder: connection.models.objects(uri), connection, clock=time.time, sleep=sleep
        )
        new = [item for item in found if _is_new(item, since) and place.file in {"", item.path}]
        if new:
            return place.folder, new
    return None


def _missing(store: ModelStore, folder: str, found: Sequence[StoredObject]) -> ModelMissing:
    location = store.location(folder)
    place = f"{location}/" if location == folder else f"{location}, which the job sees as {folder}/"
    newest = max((item.updated for item in found), default=0.0)
    old = f"nothing new: the {len(found)} files there are older than the job, the newest from {timestamp(newest)}"
    return ModelMissing(
        f"the job succeeded and saved {old if found else 'no model'}",
        where=place,
        next_step="Save the model into the folder that AIP_MODEL_DIR names",
    )


class _Checksum:
    """Hashes and counts the bytes written to it."""

    def __init__(self, counted: Item) -> None:
        self.sha256 = hashlib.sha256()
        self.size = 0
        self._counted = counted

    def write(self, data: bytes, /) -> int:
        self.sha256.update(data)
        self.size += len(data)
        self._counted.add(len(data))
        return len(data)


def _checked(store: ModelStore, folder: str, item: StoredObject, counted: Item) -> ModelFile:
    uri = f"{folder}/{item.path}"
    checksum = _Checksum(counted)
    with counted:
        store.read(uri, checksum)
    if checksum.size != item.size:
        raise VertexError(
            f"a file of the model changed while it was read: {item.size} bytes listed, {checksum.size} read",
            where=uri,
            next_step="Retry the run when nothing writes to it",
            transient=True,
        )
    return ModelFile(item.path, item.size, checksum.sha256.hexdigest(), item.updated)
