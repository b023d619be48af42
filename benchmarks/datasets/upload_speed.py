"""Uploads of data sets beside a plain parallel copy and `gcloud storage rsync`, all through the same service.

Requests and bytes are counted by a proxy in one row. `--rsync` needs Google's command line; it takes long for many
files, so that fewer should be chosen with it (`--small-files 5000`).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import urllib3
from bench_server import BUCKET, storage, table
from counting_proxy import CountingProxy

UPLOAD = """\
import resource, sys, time
from pathlib import Path
from prefect_vertex_training.datasets.bucket_objects import BucketAccess, BucketObjects
from prefect_vertex_training.datasets.data_upload import upload
from prefect_vertex_training.datasets.prepare import LocalData, prepare

source, url, bucket, cache, mode = sys.argv[1:]
begin = time.perf_counter()
data = LocalData("train", "data", Path(source), (), mode)
done = upload(prepare(data, bucket, Path(cache)), BucketObjects(BucketAccess(bucket, url)))
seconds = time.perf_counter() - begin
print(seconds, done.sent_objects, done.sent_bytes, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large-files", type=int, default=20)
    parser.add_argument("--large-megabytes", type=int, default=250, help="of each large file")
    parser.add_argument("--small-files", type=int, default=100_000)
    parser.add_argument("--folder", help="where the files lie")
    parser.add_argument("--rsync", action="store_true", help="rows of `gcloud storage rsync` too")
    options = parser.parse_args()
    rows: list[tuple[str, ...]] = [("what", "seconds", "objects", "MB sent", "memory", "requests", "wanted")]
    with storage(options.folder) as (service, root):
        large, small = root / "large", root / "small"
        _make(large, options.large_files, options.large_megabytes << 20)
        _make(small, options.small_files, 20_000)
        _age(large)
        _age(small)
        for name, source, mode in (("large", large, "copy"), ("small", small, "copy")):
            plain = _plain_copy(source, f"{service.url}/upload/storage/v1/b/{BUCKET}/o", name)
            rows.append((f"{name}: plain parallel copy", f"{plain:.1f}", "", "", "", "", ""))
            cache = root / "cache"
            first = _upload(rows, f"{name}: first upload", source, service.url, cache, mode)
            rows[-1] = (*rows[-1][:-1], f">= 0.8 of the plain copy's rate: {plain / first:.2f}")
            _upload(rows, f"{name}: nothing changed", source, service.url, cache, mode, "<= 1.5 s")
            if options.rsync:
                taken = {what: _rsync(source, service.url, root) for what in ("first upload", "nothing changed")}
                rows += [(f"{name}: rsync, {what}", f"{seconds:.2f}", *[""] * 5) for what, seconds in taken.items()]
            changed = next(path for path in sorted(source.rglob("*")) if path.is_file())
            changed.write_bytes(os.urandom(20_000))
            _age(source)
            with CountingProxy(service.url) as proxy:
                _upload(rows, f"{name}: one file changed", source, proxy.url, cache, mode, "<= 2 s, one small object")
                counted = f"{proxy.requests} ({proxy.sent / 1e3:.0f} kB)"
            rows[-1] = (*rows[-1][:5], counted, rows[-1][6])
    table(rows)


def _upload(
    rows: list[tuple[str, ...]], name: str, source: Path, url: str, cache: Path, mode: str, wanted: str = ""
) -> float:
    os.sync()  # what was written before must not slow this down
    command = [sys.executable, "-c", UPLOAD, str(source), url, BUCKET, str(cache), mode]
    words = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    seconds, objects, sent, memory = float(words[0]), words[1], float(words[2]), float(words[3])
    rows.append((name, f"{seconds:.2f}", objects, f"{sent / 1e6:.2f}", f"{memory:.0f} MB", "", wanted))
    return seconds


def _make(folder: Path, count: int, size: int) -> None:
    block = os.urandom(min(size, 1 << 20))
    for number in range(count):
        path = folder / f"{number // 1000:03d}" / f"{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(number.to_bytes(8, "big"))
            for _ in range(max(1, size // len(block))):
                file.write(block)


def _age(folder: Path) -> None:
    """Makes new files older than the moment for which an index trusts none."""
    now = time.time()
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_mtime > now - 3600:
            os.utime(path, (now - 7200, now - 7200))


def _plain_copy(source: Path, url: str, name: str) -> float:
    """Seconds for one object a file, with eight threads."""
    os.sync()
    pool = urllib3.PoolManager(maxsize=8, retries=False, blocksize=1 << 20)

    def put(path: Path) -> None:
        size = path.stat().st_size
        target = f"{url}?uploadType=media&name=plain-{name}%2F{path.name}"
        with path.open("rb") as file:
            body = file.read() if size < 1 << 20 else file
            assert pool.request("POST", target, body=body, headers={"Content-Length": str(size)}).status == 200

    paths = [path for path in source.rglob("*") if path.is_file()]
    begin = time.perf_counter()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(put, paths))
    return time.perf_counter() - begin


def _rsync(source: Path, url: str, root: Path) -> float:
    """Seconds of Google's command line, of which its start takes some."""
    os.sync()
    address, _, secret = url.rpartition("/")
    (root / "token").write_text(secret)
    settings = {
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"{address}/storage/v1/",
        "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(root / "token"),
        "CLOUDSDK_CONFIG": str(root / "gcloud"),
        "CLOUDSDK_CORE_PROJECT": "benchmark",
    }
    command = ["gcloud", "storage", "rsync", "--recursive", str(source), f"gs://{BUCKET}/rsync/{source.name}"]
    begin = time.perf_counter()
    subprocess.run(command, env={**os.environ, **settings}, capture_output=True, check=True)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
