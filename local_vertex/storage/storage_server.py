"""The storage server's process, which `storage_service` starts with `python -m`."""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from .http.http_messages import Answer, Request, StorageApiError, json_answer
from .http.http_server import HttpServer
from .objects.bucket_store import BucketStore
from .objects.object_store import ObjectStore
from .served.resumable_uploads import remove_leftovers
from .served.routes import Routes

_IDLE_SECONDS = 4 * 3600.0
_CHECK_SECONDS = 30.0
_ACCOUNT = "training@local.iam.gserviceaccount.com"


class StorageServer:
    """One server over the buckets of a home.

    Args:
        vertex: The home's folder of local_vertex, which holds the buckets.
        secret: The first part of every path.
        project_number: Of the project that the buckets belong to.
        region: Where buckets lie for which nothing else was said.
    """

    def __init__(self, vertex: Path, secret: str, project_number: str = "0", region: str = "us-central1") -> None:
        buckets = vertex / "buckets"
        work = vertex / "storage"
        buckets.mkdir(parents=True, exist_ok=True)
        self._runs = vertex / "runs"
        self._secret = secret
        self._records = work / "addresses.json"
        self.stopped = threading.Event()
        objects = ObjectStore(buckets, work)
        remove_leftovers(objects.uploads)
        self._routes = Routes(objects, BucketStore(buckets, work / "buckets", project_number, region.upper()), _ACCOUNT)
        self._servers: dict[str, HttpServer] = {}

    def serve(self, listener: socket.socket) -> HttpServer:
        """Serves on a socket that listens, in threads of its own."""
        server = HttpServer(listener, self._secret, self._handle)
        self._servers[listener.getsockname()[0]] = server
        server.start()
        return server

    def close(self) -> None:
        """Refuses new connections."""
        for server in self._servers.values():
            server.shutdown()
            server.server_close()

    def is_idle(self) -> bool:
        """Whether nobody has used it for hours, and no job runs that may need it; or its folder was deleted."""
        if not self._runs.parent.is_dir():
            return True
        if any(server.connections for server in self._servers.values()):
            return False
        last = max(server.last_used for server in self._servers.values())
        return time.monotonic() - last > _IDLE_SECONDS and not _has_entries(self._runs)

    def listen_again(self) -> None:
        """Listens on the addresses that an earlier server was asked to listen on."""
        try:
            addresses = json.loads(self._records.read_text())
        except (OSError, ValueError):
            return
        for address in addresses:
            try:
                self._listen(address)
            except StorageApiError as error:
                print(error.message, file=sys.stderr)

    def _handle(self, request: Request) -> Answer:
        if not request.path.startswith("_storage/"):
            return self._routes(request)
        match request.path:
            case "_storage/stop" if request.method == "POST":
                self.stopped.set()
                return Answer(204)
            case "_storage/listen" if request.method == "POST":
                self._listen(request.query.get("address", ""))
                self._records.write_text(json.dumps(list(self._servers)[1:]))
                return Answer(204)
            case "_storage/status":
                return json_answer({"addresses": list(self._servers), "process": os.getpid()})
            case "_storage/token":
                # For clients that ask the address in a credentials file for a token.
                return json_answer({"access_token": self._secret, "expires_in": 3600, "token_type": "Bearer"})
        raise StorageApiError(404, "Not Found")

    def _listen(self, address: str) -> None:
        if address in self._servers:
            return
        port = next(iter(self._servers.values())).server_address[1]
        listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        try:
            if ipaddress.ip_address(address).is_global or ipaddress.ip_address(address).is_unspecified:
                raise ValueError(address)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, port))
            listener.listen(512)
        except (OSError, ValueError) as error:
            listener.close()
            raise StorageApiError(400, f"can't listen on {address or 'an empty address'}: {error}") from error
        self.serve(listener)


def _has_entries(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(entry.is_dir() for entry in entries)
    except FileNotFoundError:
        return False


def main(arguments: list[str]) -> int:
    """Serves until it is told to stop, or nobody has used it for hours.

    Args:
        arguments: The options as JSON, of which `listener` and `lock` are descriptors that this process inherits.
    """
    options = json.loads(arguments[0])
    # A job's files may belong to any user of a container, and its folders must be writable to all of them. The home
    # above keeps other users of this machine out.
    os.umask(0)
    server = StorageServer(Path(options["vertex"]), options["secret"], options["project_number"], options["region"])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stopped.set())
    os.set_inheritable(options["listener"], False)
    os.set_inheritable(options["lock"], False)
    server.serve(socket.socket(fileno=options["listener"]))
    server.listen_again()
    while not server.stopped.wait(_CHECK_SECONDS):
        if server.is_idle():
            break
    server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
