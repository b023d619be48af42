"""Kills the storage server while objects are written: every object that is there afterwards must be whole."""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import threading
import time

import urllib3
from bench_server import BUCKET, server_process, storage, table
from prefect_vertex_training.local_vertex.storage import storage_service

SIZES = (1_000, 50_000, 3_000_000)


def main() -> None:
    """Prints the table; exits with 1 if an object is not whole."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    options = parser.parse_args()
    broken = lost = 0
    with storage() as (first, root):
        service = first
        vertex = root / "vertex"
        acknowledged: set[str] = set()
        for kill in range(options.kills):
            stopped = threading.Event()
            writers = [threading.Thread(target=_write, args=(service.url, stopped, acknowledged)) for _ in range(4)]
            process = server_process(service)
            for writer in writers:
                writer.start()
            time.sleep(random.uniform(0.02, 0.3))
            os.kill(process, signal.SIGKILL)
            stopped.set()
            for writer in writers:
                writer.join()
            while storage_service.find(vertex) is not None:
                time.sleep(0.01)
            service = storage_service.ensure_running(vertex)
            server_process(service)
            for path in (vertex / "buckets" / BUCKET).rglob("*"):
                if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() != path.name.split("-")[0]:
                    broken += 1
            if kill % 20 == 19:
                lost += _lost(service.url, acknowledged)
                for path in (vertex / "buckets" / BUCKET).iterdir():
                    path.unlink()
                acknowledged.clear()
        left = list((vertex / "storage" / "uploads").iterdir())
    rows = [("kills", "objects not whole", "acknowledged and missing", "left behind")]
    table([*rows, (str(options.kills), str(broken), str(lost), str(len(left)))])
    raise SystemExit(bool(broken or lost))


def _write(url: str, stopped: threading.Event, acknowledged: set[str]) -> None:
    pool = urllib3.PoolManager(retries=False, timeout=5)
    while not stopped.is_set():
        body = os.urandom(random.choice(SIZES))
        name = f"{hashlib.sha256(body).hexdigest()}-{random.randrange(10**9)}"
        try:
            path = f"{url}/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={name}"
            if pool.request("POST", path, body=body).status == 200:
                acknowledged.add(name)
        except urllib3.exceptions.HTTPError:
            continue


def _lost(url: str, acknowledged: set[str]) -> int:
    pool = urllib3.PoolManager(retries=False)
    return sum(pool.request("GET", f"{url}/storage/v1/b/{BUCKET}/o/{name}").status != 200 for name in acknowledged)


if __name__ == "__main__":
    main()
