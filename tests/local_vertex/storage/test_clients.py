"""Clients that people use with Cloud Storage pass one suite: Google's, gcsfs, fsspec with pandas, Arrow, HTTP."""

from __future__ import annotations

import os
from typing import Any, Protocol
from urllib.parse import quote

import pytest

BIG = 9 << 20  # above what each client sends in one piece


class Client(Protocol):
    """What every client can do; names are relative to the bucket `b`."""

    def write(self, name: str, data: bytes) -> None: ...
    def read(self, name: str) -> bytes: ...
    def read_range(self, name: str, first: int, length: int) -> bytes: ...
    def names(self, folder: str) -> list[str]: ...
    def exists(self, name: str) -> bool: ...
    def copy(self, name: str, target: str) -> None: ...
    def delete(self, name: str) -> None: ...


class GoogleClient:
    def __init__(self, storage: Any) -> None:
        from google.cloud import storage as gcs

        self.bucket = gcs.Client().bucket("b")

    def write(self, name: str, data: bytes) -> None:
        self.bucket.blob(name, chunk_size=None if len(data) < BIG else 1 << 20).upload_from_string(data)

    def read(self, name: str) -> bytes:
        return self.bucket.blob(name).download_as_bytes()

    def read_range(self, name: str, first: int, length: int) -> bytes:
        return self.bucket.blob(name).download_as_bytes(start=first, end=first + length - 1)

    def names(self, folder: str) -> list[str]:
        return [blob.name for blob in self.bucket.list_blobs(prefix=folder)]

    def exists(self, name: str) -> bool:
        return self.bucket.blob(name).exists()

    def copy(self, name: str, target: str) -> None:
        self.bucket.copy_blob(self.bucket.blob(name), self.bucket, target)

    def delete(self, name: str) -> None:
        self.bucket.blob(name).delete()


class GcsfsClient:
    def __init__(self, storage: Any) -> None:
        import gcsfs

        self.fs = gcsfs.GCSFileSystem(skip_instance_cache=True)

    def write(self, name: str, data: bytes) -> None:
        with self.fs.open(f"b/{name}", "wb", block_size=5 << 20) as file:
            file.write(data)

    def read(self, name: str) -> bytes:
        return self.fs.cat_file(f"b/{name}")

    def read_range(self, name: str, first: int, length: int) -> bytes:
        return self.fs.cat_file(f"b/{name}", start=first, end=first + length)

    def names(self, folder: str) -> list[str]:
        self.fs.invalidate_cache()
        return [path.removeprefix("b/") for path in sorted(self.fs.find(f"b/{folder}"))]

    def exists(self, name: str) -> bool:
        self.fs.invalidate_cache()
        return self.fs.exists(f"b/{name}")

    def copy(self, name: str, target: str) -> None:
        self.fs.cp_file(f"b/{name}", f"b/{target}")

    def delete(self, name: str) -> None:
        self.fs.rm(f"b/{name}")


class FsspecClient(GcsfsClient):
    def __init__(self, storage: Any) -> None:
        import fsspec

        self.fs = fsspec.filesystem("gs", skip_instance_cache=True)

    def write(self, name: str, data: bytes) -> None:
        import fsspec

        with fsspec.open(f"gs://b/{name}", "wb") as file:
            file.write(data)


class ArrowClient:
    def __init__(self, storage: Any) -> None:
        from pyarrow import fs

        self.selector = fs.FileSelector
        self.fs = fs.FileSystem.from_uri("gs://b/x")[0]

    def write(self, name: str, data: bytes) -> None:
        with self.fs.open_output_stream(f"b/{name}") as stream:
            stream.write(data)

    def read(self, name: str) -> bytes:
        with self.fs.open_input_stream(f"b/{name}") as stream:
            return stream.read()

    def read_range(self, name: str, first: int, length: int) -> bytes:
        with self.fs.open_input_file(f"b/{name}") as file:
            file.seek(first)
            return file.read(length)

    def names(self, folder: str) -> list[str]:
        selector = self.selector(f"b/{folder}", recursive=True, allow_not_found=True)
        return sorted(info.path.removeprefix("b/") for info in self.fs.get_file_info(selector) if info.is_file)

    def exists(self, name: str) -> bool:
        return self.fs.get_file_info(f"b/{name}").is_file

    def copy(self, name: str, target: str) -> None:
        self.fs.copy_file(f"b/{name}", f"b/{target}")

    def delete(self, name: str) -> None:
        self.fs.delete_file(f"b/{name}")


class HttpClient:
    def __init__(self, storage: Any) -> None:
        self.storage = storage

    def write(self, name: str, data: bytes) -> None:
        assert self.storage.put(name, data)[0] == 200

    def read(self, name: str) -> bytes:
        return self.storage.read(name)

    def read_range(self, name: str, first: int, length: int) -> bytes:
        status, _, body = self.storage.raw(
            "GET", f"b/{quote(name)}", headers={"Range": f"bytes={first}-{first + length - 1}"}
        )
        assert status == 206
        return body

    def names(self, folder: str) -> list[str]:
        return self.storage.names(f"prefix={folder}")[0]

    def exists(self, name: str) -> bool:
        return self.storage.raw("HEAD", f"b/{name}")[0] == 200

    def copy(self, name: str, target: str) -> None:
        path = f"b/b/o/{quote(name, safe='')}/rewriteTo/b/b/o/{quote(target, safe='')}"
        assert self.storage.call("POST", path)[1]["done"]

    def delete(self, name: str) -> None:
        assert self.storage.raw("DELETE", f"b/{name}")[0] == 204


CLIENTS = [GoogleClient, GcsfsClient, FsspecClient, ArrowClient, HttpClient]


@pytest.fixture(params=CLIENTS, ids=lambda client: client.__name__)
def client(request: pytest.FixtureRequest, storage: Any) -> Client:
    """One of the clients."""
    return request.param(storage)


def test_what_is_written_is_a_file_and_is_read(client: Client, storage: Any) -> None:
    """Small and large objects come back as they were, and lie as plain files in the bucket's folder."""
    for name, data in (("m/small.bin", b"\0abc"), ("m/large.bin", os.urandom(BIG)), ("m/empty", b"")):
        client.write(name, data)

        assert client.read(name) == data
        assert (storage.bucket / name).read_bytes() == data


def test_files_that_are_just_there_are_objects(client: Client, storage: Any) -> None:
    """A file that a job wrote below /gcs is listed and read, also after it changed."""
    path = storage.bucket / "data" / "part one.csv"
    path.parent.mkdir()
    path.write_bytes(b"first")

    assert client.names("data/") == ["data/part one.csv"]
    assert client.read("data/part one.csv") == b"first"

    path.write_bytes(b"second, longer")

    assert client.read_range("data/part one.csv", 8, 3) == b"lon"


def test_objects_are_copied_found_and_deleted(client: Client, storage: Any) -> None:
    """Copies, tests of existence and deletions do what they say."""
    client.write("a/one", b"1")
    client.copy("a/one", "a/two")

    assert client.names("a/") == ["a/one", "a/two"]
    assert client.exists("a/two")

    client.delete("a/two")

    assert not client.exists("a/two")
    assert not (storage.bucket / "a" / "two").exists()
    assert client.read("a/one") == b"1"


def test_pandas_reads_and_writes(storage: Any) -> None:
    """CSV goes through fsspec, Parquet through Arrow."""
    import pandas as pd

    frame = pd.DataFrame({"x": [1, 2, 3]})
    frame.to_csv("gs://b/t.csv", index=False)
    frame.to_parquet("gs://b/t.parquet")

    assert pd.read_csv("gs://b/t.csv").equals(frame)
    assert pd.read_parquet("gs://b/t.parquet").equals(frame)


def test_the_transfer_manager_sends_a_file_in_parts(storage: Any, tmp_path: Any) -> None:
    """Its parts go through the XML API, and its downloads are checked by CRC32C."""
    from google.cloud import storage as gcs
    from google.cloud.storage import transfer_manager

    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(BIG))
    blob = gcs.Client().bucket("b").blob("parts/whole")
    options = {"chunk_size": 5 << 20, "max_workers": 2, "worker_type": transfer_manager.THREAD}
    transfer_manager.upload_chunks_concurrently(str(source), blob, **options)
    transfer_manager.download_chunks_concurrently(blob, str(target), **options)

    assert target.read_bytes() == source.read_bytes()
    assert [path for path in (storage.folder / "storage" / "uploads").iterdir() if path.suffix != ".json"] == []
