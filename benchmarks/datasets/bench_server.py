"""A storage server in a temporary folder, for the benchmarks of this folder."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect_vertex_training.local_vertex.storage import storage_service
from prefect_vertex_training.local_vertex.storage.storage_service import StorageService

BUCKET = "bench"


@contextmanager
def storage(folder: str | None = None) -> Iterator[tuple[StorageService, Path]]:
    """A running server with an empty bucket, and a folder for other files; both are removed at the end."""
    root = Path(tempfile.mkdtemp(dir=folder))
    vertex = root / "vertex"
    (vertex / "buckets" / BUCKET).mkdir(parents=True)
    try:
        yield storage_service.ensure_running(vertex), root
    finally:
        storage_service.stop(vertex)
        shutil.rmtree(root, ignore_errors=True)


def server_process(service: StorageService) -> int:
    """The server's process."""
    return int(json.loads(storage_service.call(service, "status"))["process"])


def peak_memory(process: int | str) -> float:
    """The peak memory of a process, in MB."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def table(rows: list[tuple[str, ...]]) -> None:
    """Prints rows; the first is the heading."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
