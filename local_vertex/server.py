"""The service's own process, started by `service.py` with `python -m`."""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from ..core.errors import LocalServiceError, TrainingError, storage_errors
from ..core.files import write_atomic
from ..core.home import Home
from .endpoint import BUCKET, LocalService, Options, buckets_path, is_listening, record_path, socket_path, store_path

_GRACE = 1.0  # seconds for running calls when the service stops
_ENDING = 15.0  # seconds that an earlier service may take to end

Untyped: TypeAlias = Any  # parts that are imported late, for a fast start


def main(arguments: list[str]) -> int:
    """Serves until it is told to stop.

    Args:
        arguments: The options as JSON, and the number of an open file that hears "ok" or an error's line.
    """
    options, pipe = Options(**json.loads(arguments[0])), int(arguments[1])
    # The parent waits for this process only until here: the service outlives whoever started it.
    if os.fork():
        os._exit(0)
    os.set_inheritable(pipe, False)
    with os.fdopen(pipe, "w") as answer:
        try:
            with ExitStack() as stack:
                stopped = threading.Event()
                for number in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(number, lambda *_: stopped.set())

                def ready() -> None:
                    answer.write("ok")
                    answer.close()

                stack.enter_context(serving(options, stopped, ready))
                stopped.wait()
        except TrainingError as error:
            if answer.closed:
                raise
            answer.write(json.dumps({"what": error.what, "where": error.where, "next_step": error.next_step}))
            return 1
    return 0


@contextmanager
def serving(
    options: Options,
    stopped: threading.Event,
    ready: Callable[[], None] = lambda: None,
    make_executor: Untyped = None,
) -> Iterator[LocalService]:
    """The service, in this process, until the block ends.

    Args:
        options: How to start it.
        stopped: Set when a client asks the service to stop.
        ready: Called when it answers; calls that change a job wait a moment longer, until old jobs were found again.
        make_executor: Instead of `execution.Executor`: called as that class, gives what runs the jobs.

    Raises:
        LocalServiceError: Another service runs on this home.
        StorageError: The disk is full, or the store is no store.
    """
    home = Home(Path(options.home))
    with ExitStack() as stack:
        stack.enter_context(_only_one(home))
        runner: Future[Untyped] = Future()
        service, start = _assemble(home, options, stopped, runner, stack)
        record = record_path(home)
        write_atomic(record, json.dumps({**asdict(service), "buckets": str(service.buckets)}))
        stack.callback(record.unlink, missing_ok=True)
        ready()
        try:
            runner.set_result(start(make_executor))
        except Exception as error:  # noqa: BLE001 - whoever changes a job is told; looking at jobs goes on
            traceback.print_exception(error)
            runner.set_exception(error)
        yield service


@contextmanager
def _only_one(home: Home) -> Iterator[None]:
    """Holds the store's lock. A POSIX lock, for a child must not inherit it: jobs outlive the service.

    A service that is just ending, or was just killed, may hold it a little longer; one that listens keeps it.
    """
    import fcntl

    deadline, listens = time.monotonic() + _ENDING, 0
    with (home.vertex / "service.lock").open("a+") as file:
        while True:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                listens = listens + 1 if is_listening(socket_path(home)) else 0
                if listens >= 10 or time.monotonic() > deadline:
                    raise LocalServiceError(
                        "another service already runs on this store",
                        where=home.vertex,
                        next_step="Use it, or end it with `vertex-training local stop`",
                    ) from error
                time.sleep(0.02)
        yield


def _assemble(
    home: Home, options: Options, stopped: threading.Event, runner: Future[Untyped], stack: ExitStack
) -> tuple[LocalService, Callable[[Untyped], Untyped]]:
    """Starts every part that answers, each with its end on the stack; also gives what starts the executor."""
    from .api import schema as schemas
    from .api.dispatcher import Dispatcher, table
    from .api.grpc_server import GrpcServer
    from .api.jobs import Environment, JobsApi
    from .api.logs import LogsApi
    from .api.quotas import Quotas
    from .faults import Switches
    from .store.store import Store

    def switch(changes: dict[str, Any]) -> dict[str, Any]:
        switches.update(changes)
        return switches.values()

    def start_executor(make: Untyped) -> Untyped:
        # Late, for it takes as long to import as a third of all the rest.
        from .execution import Executor, ServiceInfo

        info = ServiceInfo(options.project, options.project_number, options.region)
        executor = (make or Executor)(store, home.vertex, switches, environment=info)
        executor.start()
        return executor

    def stop(_: dict[str, Any]) -> dict[str, Any]:
        stopped.set()
        return {}

    schema = schemas.load(home.cache)
    switches = Switches()
    switches.update(options.switches)
    environment = Environment(options.project, options.project_number, options.region)
    store = Store(store_path(home))
    stack.callback(store.close)
    stack.callback(_end, runner)
    buckets = buckets_path(home)
    with storage_errors(buckets):
        (buckets / BUCKET).mkdir(parents=True, exist_ok=True)
    logs = LogsApi(store=store, switches=switches, environment=environment, schema=schema)
    jobs = JobsApi(store=store, runner=runner, switches=switches, environment=environment, schema=schema)
    quotas = Quotas(switches, options.project_number)
    dispatcher = Dispatcher(table(jobs, logs), switches, quotas, traceback.print_exception)
    token = secrets.token_urlsafe(32) if options.tcp else None
    server = GrpcServer(dispatcher, logs, schema, {"Switches": switch, "Stop": stop}, token)
    socket = socket_path(home)
    socket.unlink(missing_ok=True)
    server.listen(f"unix:{socket}")
    tcp = _listen_on_tcp(server, home, options.tls) if options.tcp else {}
    rest_url = _serve_rest(dispatcher, schema, token, stack) if token else None
    server.start()
    stack.callback(server.stop, _GRACE)
    service = LocalService(
        target=f"unix:{socket}",
        token=token,
        rest_url=rest_url,
        project=options.project,
        project_number=options.project_number,
        region=options.region,
        bucket=BUCKET,
        buckets=buckets,
        pid=os.getpid(),
        started=time.time(),
        **tcp,
    )
    return service, start_executor


def _end(runner: Future[Untyped]) -> None:
    if runner.done() and not runner.exception():
        runner.result().stop()


def _listen_on_tcp(server: Untyped, home: Home, tls: bool) -> dict[str, str]:
    """Listens on loopback, with TLS too where that is wanted; the addresses as fields of `LocalService`."""
    found = {"tcp_target": f"127.0.0.1:{server.listen('127.0.0.1:0')}"}
    if tls:
        import grpc

        from .tls_certificate import make

        key, certificate = make()
        path = home.vertex / "certificate.pem"
        write_atomic(path, certificate)
        port = server.listen("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
        found |= {"tls_target": f"localhost:{port}", "tls_certificate": str(path)}
    return found


def _serve_rest(dispatcher: Untyped, schema: Untyped, token: str, stack: ExitStack) -> str:
    from .api.rest_server import RestServer

    rest = RestServer(dispatcher, schema, token)
    rest.start()
    stack.callback(rest.stop)
    return rest.url


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
