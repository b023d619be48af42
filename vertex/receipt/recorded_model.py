"""Reads receipt documents: a model as it was when its job had ended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from ...core.errors import VertexError
from ...core.output_folders import model_folder, receipt_file
from ...core.security.parsed_text import parse_json
from ..client.storage import ModelStore
from ..job_types import ModelFile
from .receipt_document import VERSION
from .timestamps import moment

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class RecordedModel:
    """What a receipt says.

    Attributes:
        receipt: `gs://` URI of the document.
        folder: `gs://` folder of the model.
        files: The model's files, with paths that stay inside the model's folder.
        run: Id of the flow run; empty where a job was started without one.
        title: The job's display name.
        job: The job's full name.
        created: When the job was created, seconds since 1970; 0 when unknown.
        seconds: Time from the job's start to its end; 0 when unknown.
        metrics: By the metric's name: its `last`, `lowest` and `highest` value. Empty in receipts of earlier versions.
        cost: What the job cost, in USD; None when unknown.
    """

    receipt: str
    folder: str
    files: tuple[ModelFile, ...]
    run: str = ""
    title: str = ""
    job: str = ""
    created: float = 0.0
    seconds: float = 0.0
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    cost: float | None = None

    @property
    def size(self) -> int:
        """Size of all files together, in bytes."""
        return sum(file.size for file in self.files)


def recorded_model(store: ModelStore, output: str) -> RecordedModel | None:
    """The model of a job's output, as its receipt says; None without a receipt.

    Args:
        store: Where the output is.
        output: The job's `gs://BUCKET/PREFIX`.

    Raises:
        VertexError: The receipt can't be read, is damaged, or was written by a later version.
    """
    uri = receipt_file(output)
    found = store.document(uri)
    return parse(found.data, uri, store.location(uri)) if found else None


def parse(data: bytes, uri: str, where: str = "") -> RecordedModel:
    """Reads a document.

    Args:
        data: The document.
        uri: Its `gs://` URI.
        where: Its place for error messages. Default: the URI.

    Raises:
        VertexError: It is damaged, or was written by a later version.
    """
    where = where or uri
    try:
        document = parse_json(data)
        version = int(document["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(where, "it is no JSON document with a version") from error
    if version > VERSION:
        raise VertexError(
            f"the receipt was written by a later version of this program (version {version} of its form)",
            where=where,
            next_step="Update this program: pip install -U prefect-vertex-training",
        )
    try:
        return _model(document, uri)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(where, str(error)) from error


def _model(document: Mapping[str, Any], uri: str) -> RecordedModel:
    files = tuple(_file(entry) for entry in document["files"])
    if len({file.path for file in files}) < len(files):
        raise ValueError("it lists a file twice")
    job = document.get("job") or {}
    output = str(document.get("output") or uri.rpartition("/")[0])
    started, ended = moment(job.get("started")), moment(job.get("ended"))
    return RecordedModel(
        receipt=uri,
        folder=str(document.get("model") or model_folder(output)).rstrip("/"),
        files=files,
        run=str(document.get("flow_run") or ""),
        title=str(job.get("display_name") or ""),
        job=str(job.get("name") or ""),
        created=moment(job.get("created")),
        seconds=max(ended - started, 0.0) if started and ended else 0.0,
        metrics=_metrics(document.get("metrics")),
        cost=_cost(document.get("cost")),
    )


def _file(entry: Mapping[str, Any]) -> ModelFile:
    path, size, sha256 = entry["path"], entry["bytes"], entry["sha256"]
    if not isinstance(path, str) or not path or "\0" in path or "\\" in path or path.startswith("/"):
        raise ValueError(f"it lists a file as {path!r}")
    if not {"", ".", ".."}.isdisjoint(path.split("/")):
        raise ValueError(f"it lists {path!r}, which leads out of the model's folder")
    if type(size) is not int or size < 0 or not _SHA256.fullmatch(str(sha256)):
        raise ValueError(f"it gives no size or checksum for {path!r}")
    return ModelFile(path, size, sha256, moment(entry.get("updated")))


def _cost(found: object) -> float | None:
    """The cost in USD; whatever is no number is no cost."""
    amount = found.get("amount") if isinstance(found, dict) else None
    return float(amount) if isinstance(amount, (int, float)) and not isinstance(amount, bool) else None


def _metrics(found: object) -> dict[str, dict[str, float]]:
    """The metrics, without whatever is no number: they only inform."""
    if not isinstance(found, dict):
        return {}
    named = cast("dict[str, object]", found)
    return {
        name: {kind: float(value) for kind, value in values.items() if type(value) in {int, float}}
        for name, values in named.items()
        if isinstance(values, dict)
    }


def _damaged(where: str, why: str) -> VertexError:
    return VertexError(
        f"the receipt is damaged: {why}",
        where=where,
        next_step="Retry the run, whose last step writes it anew, or train again",
    )
