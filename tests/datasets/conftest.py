"""A bucket on this machine, and data sets in it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fixtures.suite.module_graph import ROOT
from prefect_vertex_training.datasets.bucket_objects import BucketAccess, BucketObjects
from prefect_vertex_training.datasets.data_upload import Uploaded, upload
from prefect_vertex_training.datasets.manifest import Mode, manifest_object
from prefect_vertex_training.datasets.prepare import LocalData, prepare
from prefect_vertex_training.local_vertex.storage.storage_server import StorageServer
from prefect_vertex_training.runtime import data_variable


@dataclass
class Bucket:
    """The bucket `b` of a storage server, and a folder of data."""

    url: str
    folder: Path
    source: Path
    cache: Path
    work: Path
    path: str = "data"

    @property
    def objects(self) -> BucketObjects:
        """Its objects, over the API."""
        return BucketObjects(BucketAccess("b", self.url))

    def stored(self) -> dict[str, int]:
        """Name and size of each file in it."""
        root = self.folder / "vertex-training-data"
        return {path.relative_to(root).as_posix(): path.stat().st_size for path in root.rglob("*") if path.is_file()}

    def upload(self, mode: Mode | None = "copy", include: tuple[str, ...] = ()) -> Uploaded:
        """Uploads the data, as the step `data` does."""
        self._age()
        return upload(prepare(LocalData("train", "data", self.source, include, mode), "b", self.cache), self.objects)

    def _age(self) -> None:
        """Makes new files look old: the index trusts no file that was written just before it."""
        for path in self.source.rglob("*"):
            status = path.lstat()
            if path.is_file() and not path.is_symlink() and status.st_mtime > time.time() - 3600:
                os.utime(path, ns=(status.st_mtime_ns - 10**13, status.st_mtime_ns - 10**13))

    def job(self, done: Uploaded, script: str, mode: Mode = "copy", **more: str) -> subprocess.CompletedProcess[str]:
        """Runs a Python script through the runtime, with the data set at `data`."""
        name = manifest_object(done.dataset, mode)
        data = data_variable.DataSet("train", self.path, mode, "b", name, more.pop("mounted", ""), f"gs://b/{name}")
        env = {"PATH": os.defpath, "STORAGE_EMULATOR_HOST": self.url, **data_variable.encode([data]), **more}
        command = [sys.executable, "-IB", str(ROOT / "runtime"), "--", sys.executable, "-c", script]
        return subprocess.run(command, cwd=self.work, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[Bucket]:
    """A bucket, and a folder with three small files and a large one."""
    folder = tmp_path / "vertex"
    (folder / "buckets" / "b").mkdir(parents=True)
    server = StorageServer(folder, "k")
    listener = socket.create_server(("127.0.0.1", 0))
    server.serve(listener)
    source, work = tmp_path / "source", tmp_path / "work"
    (source / "sub").mkdir(parents=True)
    work.mkdir()
    for name, text in (("a.txt", "A"), ("b.txt", "BB"), ("sub/c.txt", "CCC")):
        (source / name).write_text(text)
    (source / "large.bin").write_bytes(os.urandom(1_200_000))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/k"
    yield Bucket(url, folder / "buckets" / "b", source, tmp_path / "cache", work)
    server.close()
