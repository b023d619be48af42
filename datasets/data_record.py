"""What a run knows of its data sets: for the job's variables, the receipt and the artifact."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class DataRecord:
    """A data set of a run.

    Attributes:
        name: Its name in the settings.
        id: The hash of its files' paths, sizes and SHA-256; for data in a bucket that of its listing with generations.
        mode: "copy" or "mount".
        files: Number of files.
        size: Bytes.
        path: Where the script opens it; empty for data of a bucket that is read there.
        bucket: The bucket.
        manifest: The name of its manifest; empty for data that lay in a bucket already.
        mounted: Its path below /gcs.
        uri: `gs://` of its files, or of its manifest if they lie in packs.
    """

    name: str
    id: str
    mode: str
    files: int
    size: int
    path: str = ""
    bucket: str = ""
    manifest: str = ""
    mounted: str = ""
    uri: str = ""


@dataclass(frozen=True, slots=True)
class DataRecords:
    """The data sets of a run, in the order of the settings."""

    sets: list[DataRecord] = field(default_factory=list)


def data_facts(record: DataRecord) -> dict[str, Any]:
    """What a receipt says of a data set."""
    facts = {"name": record.name, "id": record.id, "files": record.files, "bytes": record.size, "uri": record.uri}
    return {**facts, "manifest": f"gs://{record.bucket}/{record.manifest}"} if record.manifest else facts
