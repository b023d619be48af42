"""The service's own process, started by `service.py` with `python -m`."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..core.errors import LocalServiceError, TrainingError
from ..core.files import write_atomic
from ..core.home import Home
from .service import BUCKET, LocalService, Options, record_path, socket_path, store_path

_GRACE = 1.0  # seconds for running calls when the service stops


def main(arguments: list[str]) -> int:
    """Serves until it is told to stop.

    Args:
        arguments: The options as JSON, and the number of an open file that hears "ok" or an error's line.
    """
    options, ready = Options(**json.loads(arguments[0])), int(arguments[1])
    # The parent waits for this process only until here: the service outlives whoever started it.
    if os.fork():
        os._exit(0)
    os.set_inheritable(ready, False)
    with os.fdopen(ready, "w") as answer:
        try:
            with ExitStack() as stack:
                stopped = threading.Event()
                for number in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(number, lambda *_: stopped.set())
                stack.enter_context(serving(options, stopped))
                answer.write("ok")
                answer.close()
                stopped.wait()
        except TrainingError as error:
            if answer.closed:
                raise
            answer.write(json.dumps({"what": error.what, "where": error.where, "next_step": error.next_step}))
            return 1
    return 0


@contextmanager
def serving(options: Options, stopped: threading.Event, executor: Any = None) -> Iterator[LocalService]:  # noqa: ANN401
    """The service, in this process, until the block ends.

    Args:
        options: How to start it.
        stopped: Set when a client asks the service to stop.
        executor: Instead of `execution.Executor`: called as that class, gives what runs the jobs.

    Raises:
        LocalServiceError: Another service runs on this home.
        StorageError: The disk is full, or the store is no store.
    """
    home = Home(Path(options.home))
    with ExitStack() as stack:
        stack.enter_context(_only_one(home))
        service = _assemble(home, options, stopped, executor, stack)
        record = record_path(home)
        write_atomic(record, json.dumps({**asdict(service), "buckets": str(service.buckets)}))
        stack.callback(record.unlink, missing_ok=True)
        yield service


@contextmanager
def _only_one(home: Home) -> Iterator[None]:
    """Holds the store's lock. A POSIX lock, for a child must not inherit it: jobs outlive the service."""
    import fcntl

    with (home.vertex / "service.lock").open("a+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LocalServiceError(
                "another service already runs on this store",
                where=home.vertex,
                next_step="Use it, or end it with `vertex-training local stop`",
            ) from error
        yield


def _assemble(
    home: Home,
    options: Options,
    stopped: threading.Event,
    executor_class: Any,  # noqa: ANN401
    stack: ExitStack,
) -> LocalService:
    """Starts every part, each with its end on the stack; nothing listens before the old jobs were found again."""
    from . import schema as schemas
    from .execution import Executor, ServiceInfo
    from .grpc_server import GrpcServer
    from .jobs_api import JobsApi
    from .logs_api import LogsApi
    from .methods import Dispatcher, table
    from .quotas import Quotas
    from .store import Store
    from .switches import Switches

    schema = schemas.load(home.cache)
    switches = Switches()
    switches.update(options.switches)
    environment = ServiceInfo(options.project, options.project_number, options.region)
    store = Store(store_path(home))
    stack.callback(store.close)
    executor = (executor_class or Executor)(store, home.vertex, switches, environment=environment)
    (executor.buckets / BUCKET).mkdir(mode=0o700, parents=True, exist_ok=True)
    executor.start()
    stack.callback(executor.stop)
    logs = LogsApi(store=store, switches=switches, environment=environment, schema=schema)
    jobs = JobsApi(store=store, runner=executor, switches=switches, environment=environment, schema=schema)
    dispatcher = Dispatcher(table(jobs, logs), switches, Quotas(switches, options.project_number), _report)
    token = secrets.token_urlsafe(32) if options.tcp else None
    admin = {"Switches": lambda changes: _switch(switches, changes), "Stop": lambda _: _stop(stopped)}
    server = GrpcServer(dispatcher, logs, schema, admin, token)
    socket = socket_path(home)
    socket.unlink(missing_ok=True)
    server.listen(f"unix:{socket}")
    tcp, rest_url, certificate = None, None, None
    if token is not None:
        tcp = f"127.0.0.1:{server.listen('127.0.0.1:0')}"
        rest_url = _rest(dispatcher, schema, token, stack)
        certificate = _tls(server, home) if options.tls else None
    server.start()
    stack.callback(server.stop, _GRACE)
    return LocalService(
        target=f"unix:{socket}",
        token=token,
        rest_url=rest_url,
        project=options.project,
        project_number=options.project_number,
        region=options.region,
        bucket=BUCKET,
        buckets=executor.buckets,
        pid=os.getpid(),
        tcp_target=tcp,
        tls_target=None if certificate is None else certificate[0],
        tls_certificate=None if certificate is None else certificate[1],
        started=time.time(),
    )


def _rest(dispatcher: Any, schema: Any, token: str, stack: ExitStack) -> str:  # noqa: ANN401 - imported late
    from .rest_server import RestServer

    rest = RestServer(dispatcher, schema, token)
    rest.start()
    stack.callback(rest.stop)
    return rest.url


def _tls(server: Any, home: Home) -> tuple[str, str]:  # noqa: ANN401 - imported late
    """Listens with TLS too; the address, and the file with the certificate that a client has to trust."""
    import grpc

    from .certificate import make

    key, certificate = make()
    path = home.vertex / "certificate.pem"
    write_atomic(path, certificate)
    port = server.listen("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
    return f"localhost:{port}", str(path)


def _switch(switches: Any, changes: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - imported late
    switches.update(changes)
    return switches.values()


def _stop(stopped: threading.Event) -> dict[str, Any]:
    stopped.set()
    return {}


def _report(error: Exception) -> None:
    traceback.print_exception(error)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main(sys.argv[1:]))
