"""An executor with its own store, and hand-made images."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prefect_vertex_training.images.oci.config import OCI, PREFIX
from prefect_vertex_training.images.oci.image_types import Descriptor
from prefect_vertex_training.images.oci.layout import OciLayout
from prefect_vertex_training.images.oci.verifying_reader import sha256
from prefect_vertex_training.local_vertex.execution.executor import Executor
from prefect_vertex_training.local_vertex.faults import Faults
from prefect_vertex_training.local_vertex.location import Location
from prefect_vertex_training.local_vertex.store.records import TERMINAL, JobRecord
from prefect_vertex_training.local_vertex.store.store import Store

Entry = tuple[str, bytes | None]


def tar(entries: Sequence[tarfile.TarInfo | Entry]) -> bytes:
    """A tar of entries: (path, content), (path/, None) for a folder, or any TarInfo."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                archive.addfile(entry)
                continue
            path, content = entry
            member = tarfile.TarInfo(path.rstrip("/"))
            member.mode = 0o755
            if content is None:
                member.type = tarfile.DIRTYPE
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


@dataclass
class Images:
    """Creates images in a layout."""

    layout: OciLayout

    def blob(self, data: bytes, media_type: str = OCI.layer) -> Descriptor:
        """Adds a blob."""
        descriptor = Descriptor(media_type, sha256(data), len(data))
        self.layout.put_blob(descriptor, lambda: io.BytesIO(data))
        return descriptor

    def layer(self, entries: Sequence[tarfile.TarInfo | Entry]) -> Descriptor:
        """Adds a compressed layer."""
        return self.blob(gzip.compress(tar(entries), mtime=0))

    def image(
        self,
        layers: Sequence[Sequence[tarfile.TarInfo | Entry]] = (),
        *,
        base: str = "none",
        python: str = "",
        **config: Any,
    ) -> str:
        """Adds an image; returns its reference."""
        labels = {f"{PREFIX}.base": base, f"{PREFIX}.python": python}
        tars = [tar(layer) for layer in layers]
        document = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Labels": labels, **config},
            "rootfs": {"type": "layers", "diff_ids": [sha256(data) for data in tars]},
        }
        blobs = [self.blob(gzip.compress(data, mtime=0)) for data in tars]
        described = self.blob(json.dumps(document).encode(), OCI.config)
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI.manifest,
            "config": _plain(described),
            "layers": [_plain(blob) for blob in blobs],
        }
        made = self.layout.put_manifest(json.dumps(manifest).encode(), OCI.manifest)
        return self.layout.reference(made.digest)

    def script(self, text: str, **config: Any) -> str:
        """An image that runs a Python script with this machine's Python."""
        return self.image(
            [[("opt/vertex-training/venv/", None)], [("app/", None), ("app/train.py", text.encode())]],
            python="3.11",
            WorkingDir="/app",
            Entrypoint=["/opt/vertex-training/venv/bin/python", "/app/train.py"],
            Env=["PATH=/opt/vertex-training/venv/bin:/usr/local/bin:/usr/bin:/bin", "PYTHONUNBUFFERED=1"],
            **config,
        )


def _plain(descriptor: Descriptor) -> dict[str, Any]:
    return {"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size}


Pool = Callable[..., dict[str, Any]]


@pytest.fixture(name="pool")
def pool_fixture() -> Pool:
    """A function that returns a worker pool's spec."""
    return pool


@pytest.fixture
def images(tmp_path: Path) -> Images:
    """Images in a new layout."""
    return Images(OciLayout(tmp_path / "images", "demo"))


def pool(image: str, replicas: int = 1, **container: Any) -> dict[str, Any]:
    """A worker pool's spec."""
    env = [{"name": name, "value": value} for name, value in container.pop("env", {}).items()]
    return {
        "container_spec": {"image_uri": image, "env": env, **container},
        "replica_count": str(replicas),
        "machine_spec": {"machine_type": "n1-standard-4"},
    }


@dataclass
class Harness:
    """An executor and its store."""

    store: Store
    executor: Executor
    faults: Faults
    folder: Path

    def submit(self, *pools: Mapping[str, Any], job_id: str = "", **spec: Any) -> str:
        """Creates a job and submits it to the executor."""
        job_id = job_id or str(time.time_ns())
        self.store.create(JobRecord(id=job_id, spec={"worker_pool_specs": list(pools), **spec}))
        self.executor.submit(job_id)
        return job_id

    def run(self, *pools: Mapping[str, Any], **spec: Any) -> JobRecord:
        """Creates a job and waits for its end."""
        return self.ended(self.submit(*pools, **spec))

    def ended(self, job_id: str, seconds: float = 60) -> JobRecord:
        """Waits for a terminal state."""
        return self.reached(job_id, lambda record: record.state in TERMINAL, seconds)

    def reached(self, job_id: str, condition: Callable[[JobRecord], bool], seconds: float = 60) -> JobRecord:
        """Waits until a job meets a condition."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            record = self.store.get(job_id)
            assert record is not None
            if condition(record):
                return record
            time.sleep(0.01)
        pytest.fail(f"job {job_id} is {record.state}, {record.error_message}, {self.lines(job_id)}")

    def lines(self, job_id: str, task: str | None = None) -> list[Any]:
        """Payloads of a job's entries, in the order of arrival."""
        found = self.store.find_logs("job_id = ?", [job_id], limit=100_000)
        return [line.entry.payload for line in found if task in {None, line.entry.task}]

    def cancel(self, job_id: str) -> None:
        """Cancels a job as the API does."""
        assert self.store.request_cancel(job_id)
        self.executor.cancel(job_id)

    def restart(self) -> None:
        """Replaces the executor by another one on the same store."""
        self.executor.stop()
        self.executor = Executor(self.store, self.folder, self.faults, location=INFO)
        self.executor.start()


INFO = Location("local", "123456", "us-central1")


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    """A running executor."""
    folder = tmp_path / "vertex"
    folder.mkdir()
    store = Store(folder / "store.db")
    faults = Faults(grace_seconds=2.0)
    made = Harness(store, Executor(store, folder, faults, location=INFO), faults, folder)
    made.executor.start()
    yield made
    for record in store.live():
        if store.request_cancel(record.id):
            made.executor.cancel(record.id)
    for record in store.live():
        made.ended(record.id)
    made.executor.stop()
    store.close()


EXCHANGE = """
import os, socket, time
address = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
if os.environ["RANK"] == "0":
    with socket.create_server(("", address[1])) as server:
        peer, _ = server.accept()
        with peer:
            print("got", peer.recv(100).decode(), "of", os.environ["WORLD_SIZE"], flush=True)
            peer.sendall(b"from primary")
            peer.recv(1)  # the worker closes when it has printed; after the primary's end it may be stopped
else:
    while True:
        try:
            with socket.create_connection(address) as peer:
                peer.sendall(b"from worker")
                print("got", peer.recv(100).decode(), flush=True)
                break
        except OSError:
            time.sleep(0.02)
    time.sleep(1000)
"""


@pytest.fixture
def exchange() -> str:
    """A program for two replicas that exchange a message through MASTER_ADDR."""
    return EXCHANGE
