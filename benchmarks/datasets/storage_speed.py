"""Speed and memory of the storage server: one large object, many small ones, by a raw client and by others.

Beside the rates stand the processor's seconds of server and client, which other programs change less, and what
the disk alone takes: making a file costs from 10 to 700 microseconds on ext4, by what was deleted there before.
"""

from __future__ import annotations

import argparse
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import local

import urllib3
from bench_server import BUCKET, peak_memory, server_process, storage, table
from prefect_vertex_training.local_vertex.storage.client_environment import make_credentials, storage_variables
from prefect_vertex_training.local_vertex.storage.storage_service import StorageService

PIECE = 1 << 20
SMALL = 20_000
UP = "upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}"
DOWN = "storage/v1/b/{bucket}/o/{name}?alt=media"


class RawClient:
    """Requests over one socket a thread, with nothing between: the server's speed is measured, not a client's."""

    def __init__(self, service: StorageService) -> None:
        self._service = service
        self._local = local()

    def put(self, name: str, body: bytes | Path) -> None:
        """Writes an object."""
        size = body.stat().st_size if isinstance(body, Path) else len(body)
        connection = self._connection()
        head = self._head("POST", UP, name) + f"Content-Length: {size}\r\n\r\n".encode()
        if isinstance(body, Path):
            connection.sendall(head)
            with body.open("rb") as file:
                connection.sendfile(file)
        else:
            connection.sendall(head + body)
        status, left, _ = self._answer(connection)
        assert status == 200, status
        while left > 0:
            left -= len(connection.recv(left))

    def get(self, name: str) -> int:
        """Reads an object; returns the number of its bytes."""
        connection, buffer = self._connection(), bytearray(PIECE)
        connection.sendall(self._head("GET", DOWN, name) + b"\r\n")
        status, left, size = self._answer(connection)
        assert status == 200, status
        while left > 0:
            left -= connection.recv_into(buffer)
        return size

    def _head(self, method: str, form: str, name: str) -> bytes:
        path = form.format(bucket=BUCKET, name=name.replace("/", "%2F"))
        host = f"127.0.0.1:{self._service.port}"
        return f"{method} /{self._service.secret}/{path} HTTP/1.1\r\nHost: {host}\r\n".encode()

    def _connection(self) -> socket.socket:
        if not hasattr(self._local, "socket"):
            self._local.socket = socket.create_connection(("127.0.0.1", self._service.port))
            self._local.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._local.socket

    @staticmethod
    def _answer(connection: socket.socket) -> tuple[int, int, int]:
        """The status of an answer, the bytes of its body that are still to be read, and all of its body's."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(64 << 10)
        head, _, rest = data.partition(b"\r\n\r\n")
        size = next(int(line[16:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: "))
        return int(head.split(b" ", 2)[1]), size - len(rest), size


class Timed:
    """Rows of the table: seconds, rate, and the processor's seconds of both sides."""

    def __init__(self, server: int) -> None:
        self._server = server
        self.rows: list[tuple[str, ...]] = [("what", "seconds", "rate", "server CPU", "client CPU", "wanted")]

    def row(self, name: str, action: Callable[[], object], size: int, wanted: str = "") -> None:
        """Does it, after all that was written before is on the disk."""
        os.sync()
        server, client, begin = self._used(), time.process_time(), time.perf_counter()
        action()
        seconds = time.perf_counter() - begin
        used = f"{self._used() - server:.1f}", f"{time.process_time() - client:.1f}"
        self.rows.append((name, f"{seconds:.1f}", f"{size / 1e6 / seconds:.0f} MB/s", *used, wanted))

    def _used(self) -> float:
        fields = Path(f"/proc/{self._server}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--folder", help="where the files lie")
    options = parser.parse_args()
    with storage(options.folder) as (service, root):
        source, process = root / "source", server_process(service)
        with source.open("wb") as file:
            for _ in range(options.megabytes):
                file.write(os.urandom(PIECE))
        size, timed, raw = source.stat().st_size, Timed(process), RawClient(service)
        timed.row("1 object up", lambda: raw.put("large", source), size, ">= 200 MB/s")
        timed.row("1 object down", lambda: raw.get("large"), size, ">= 200 MB/s")
        _small(timed, raw, service, options.objects, options.threads, root)
        timed.rows.append(("server's peak memory", "", f"{peak_memory(process):.0f} MB", "", "", "<= 60 MB"))
        _google(timed, service, root, source, size)
    table(timed.rows)


def _small(timed: Timed, raw: RawClient, service: StorageService, count: int, threads: int, root: Path) -> None:
    body = os.urandom(SMALL)
    pool = urllib3.PoolManager(maxsize=threads, retries=False)

    def plain(number: int) -> None:
        path = f"{service.url}/{UP.format(bucket=BUCKET, name=f'plain%2F{number}')}"
        assert pool.request("POST", path, body=body).status == 200

    def file(number: int) -> None:
        path = root / "files" / f"new-{number}"
        path.write_bytes(body)
        path.rename(root / "files" / str(number))

    def many(action: Callable[[int], None]) -> Callable[[], object]:
        def run() -> None:
            with ThreadPoolExecutor(threads) as started:
                list(started.map(action, range(count)))

        return run

    (root / "files").mkdir()
    name, size = f"{count:,} objects of 20 kB up", count * SMALL
    timed.row(name, many(lambda number: raw.put(f"small/{number}", body)), size, "<= 15 s for 10,000")
    timed.row(f"{name}, by urllib3", many(plain), size)
    timed.row(f"{count:,} files of 20 kB, without a server", many(file), size)


def _google(timed: Timed, service: StorageService, root: Path, source: Path, size: int) -> None:
    url = service.url
    os.environ.update(storage_variables(url, str(make_credentials(root, url, "local")), "local"))
    from google.cloud import storage as gcs

    blob = gcs.Client().bucket(BUCKET).blob("google")
    timed.row("Google's client up", lambda: blob.upload_from_filename(str(source)), size)
    timed.row("Google's client down", lambda: blob.download_to_filename(str(root / "target")), size)


if __name__ == "__main__":
    main()
