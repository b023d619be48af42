"""Speed and memory of the storage server: one large object, many small ones, by a raw client and by Google's."""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import urllib3
from bench_server import BUCKET, peak_memory, server_process, storage, table
from prefect_vertex_training.local_vertex.storage.client_environment import make_credentials, storage_variables

PIECE = 1 << 20


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--folder", help="where the files lie")
    options = parser.parse_args()
    rows: list[tuple[str, ...]] = [("what", "seconds", "rate", "wanted")]
    with storage(options.folder) as (service, root):
        pool = urllib3.PoolManager(maxsize=options.threads, retries=False)
        source = root / "source"
        with source.open("wb") as file:
            for _ in range(options.megabytes):
                file.write(os.urandom(PIECE))
        size = source.stat().st_size
        up = f"{service.url}/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name="
        down = f"{service.url}/storage/v1/b/{BUCKET}/o/large?alt=media"

        def send() -> None:
            with source.open("rb") as file:
                answer = pool.request("POST", f"{up}large", body=file, headers={"Content-Length": str(size)})
                assert answer.status == 200, answer.data

        def receive() -> None:
            answer = pool.request("GET", down, preload_content=False)
            assert sum(len(piece) for piece in answer.stream(PIECE)) == size

        for name, action in (("1 object up", send), ("1 object down", receive)):
            rows.append(_timed(name, action, size, ">= 200 MB/s"))
        body = os.urandom(20_000)

        def put(number: int) -> None:
            answer = pool.request("POST", f"{up}small%2F{number}", body=body)
            assert answer.status == 200

        def many() -> None:
            with ThreadPoolExecutor(options.threads) as threads:
                list(threads.map(put, range(options.objects)))

        name = f"{options.objects:,} objects of 20 kB up"
        rows.append(_timed(name, many, options.objects * 20_000, "<= 15 s for 10,000"))
        rows += _google(service, root, source, size)
        rows.append(("server's peak memory", "", f"{peak_memory(server_process(service)):.0f} MB", "<= 60 MB"))
    table(rows)


def _google(service: object, root: Path, source: Path, size: int) -> list[tuple[str, ...]]:
    url = service.url  # type: ignore[attr-defined]
    os.environ.update(storage_variables(url, str(make_credentials(root, url, "local")), "local"))
    from google.cloud import storage as gcs

    blob = gcs.Client().bucket(BUCKET).blob("google")
    return [
        _timed("Google's client up", lambda: blob.upload_from_filename(str(source)), size, ""),
        _timed("Google's client down", lambda: blob.download_to_filename(str(root / "target")), size, ""),
    ]


def _timed(name: str, action: object, size: int, wanted: str) -> tuple[str, ...]:
    begin = time.perf_counter()
    action()  # type: ignore[operator]
    seconds = time.perf_counter() - begin
    return name, f"{seconds:.1f}", f"{size / 1e6 / seconds:.0f} MB/s", wanted


if __name__ == "__main__":
    main()
