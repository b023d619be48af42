"""The parts of a running service: the store, the API over gRPC and REST, and what runs the jobs.

The executor is imported late: that takes as long as a third of everything else. The service responds before that, and
only methods that change a job wait for it.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from ..core.atomic_files import write_atomic
from ..core.errors import storage_errors
from ..core.home import Home
from .api import schema as schemas
from .api.dispatcher import Dispatcher, methods
from .api.grpc_server import GrpcServer
from .api.jobs import JobsApi, Runner
from .api.logs import LogsApi
from .api.quotas import Quotas
from .api.schema import Schema
from .endpoint import (
    ADMIN_SERVICE,
    BUCKET,
    LEND_LOGIN,
    SET_FAULTS,
    STOP,
    LocalService,
    Options,
    buckets_path,
    socket_path,
    store_path,
)
from .faults import Faults
from .lent_logins import LentLogins
from .location import Location
from .store.store import Store

_STOP_SECONDS = 1.0  # for running calls when the service stops


class JobRunner(Runner, Protocol):
    """What runs the jobs; implemented by `execution.executor.Executor`."""

    def start(self) -> None:
        """Finds the jobs that have not ended, and continues them."""
        ...

    def stop(self) -> None:
        """Stops; jobs go on."""
        ...


class CreateRunner(Protocol):
    """Creates what runs the jobs, with the arguments of `Executor`."""

    def __call__(self, store: Store, folder: Path, faults: Faults, *, location: Location) -> JobRunner:
        """The runner, not yet started."""
        ...


class Service:
    """One service.

    Args:
        home: The home folder; no other service may use it.
        options: How the service is started.
        stopped: Set when a client asks the service to stop.
        stack: Gets what must be done when the service ends.

    Raises:
        LocalServiceError: Google's packages are missing or have changed, or a fault is invalid.
        StorageError: The disk is full, or the store is invalid.
    """

    def __init__(self, home: Home, options: Options, stopped: threading.Event, stack: ExitStack) -> None:
        self._home = home
        self._options = options
        self._stopped = stopped
        self._stack = stack
        self._schema: Schema = schemas.load(home.cache)
        self._faults = Faults()
        self._faults.update(options.faults)
        self._logins = LentLogins()
        self._location = Location(options.project, options.project_number, options.region)
        self._token = secrets.token_urlsafe(32) if options.tcp else None
        self._started_runner: JobRunner | None = None
        self._runner: Future[Runner] = Future()
        self._store = Store(store_path(home))
        stack.callback(self._store.close)
        # Before everything that serves the API, so that it runs after the API has stopped.
        stack.callback(self._stop_runner)
        with storage_errors(buckets_path(home)):
            (buckets_path(home) / BUCKET).mkdir(parents=True, exist_ok=True)

    def listen(self) -> LocalService:
        """Starts the API on all addresses; returns how to reach it.

        Raises:
            LocalServiceError: An address can't be used.
        """
        logs = LogsApi(store=self._store, faults=self._faults, location=self._location, schema=self._schema)
        jobs = JobsApi(
            store=self._store,
            runner=self._runner,
            faults=self._faults,
            location=self._location,
            schema=self._schema,
        )
        quotas = Quotas(self._faults, self._location.project_number)
        dispatcher = Dispatcher(methods(jobs, logs), self._faults, quotas, traceback.print_exception)
        admin = {ADMIN_SERVICE: {SET_FAULTS: self._set_faults, STOP: self._request_stop, LEND_LOGIN: self._lend_login}}
        server = GrpcServer(dispatcher, logs, self._schema, admin, self._token)
        socket = socket_path(self._home)
        socket.unlink(missing_ok=True)
        server.listen(f"unix:{socket}")
        tcp = self._listen_on_tcp(server) if self._options.tcp else {}
        rest_url = self._serve_rest(dispatcher, self._token) if self._token else None
        server.start()
        self._stack.callback(server.stop, _STOP_SECONDS)
        return LocalService(
            target=f"unix:{socket}",
            token=self._token,
            rest_url=rest_url,
            project=self._location.project_id,
            project_number=self._location.project_number,
            region=self._location.region,
            bucket=BUCKET,
            buckets=buckets_path(self._home),
            pid=os.getpid(),
            started=time.time(),
            **tcp,
        )

    def start_runner(self, create: CreateRunner | None = None) -> None:
        """Starts what runs the jobs. On failure, methods that change a job return the error, and others go on.

        Args:
            create: Used instead of `Executor`.
        """
        try:
            arguments = self._store, self._home.vertex, self._faults
            if create is None:
                runner: JobRunner = _executor()(*arguments, location=self._location, logins=self._logins)
            else:
                runner = create(*arguments, location=self._location)
            runner.start()
            self._started_runner = runner
            self._runner.set_result(runner)
        except Exception as error:  # noqa: BLE001 - reported by every method that changes a job
            traceback.print_exception(error)
            self._runner.set_exception(error)

    def _stop_runner(self) -> None:
        if self._started_runner is not None:
            self._started_runner.stop()

    def _set_faults(self, changes: dict[str, Any]) -> dict[str, Any]:
        self._faults.update(changes)
        return self._faults.values()

    def _lend_login(self, request: dict[str, Any]) -> dict[str, Any]:
        self._logins.lend(str(request["host"]), request["login"])
        return {}

    def _request_stop(self, _: dict[str, Any]) -> dict[str, Any]:
        self._stopped.set()
        return {}

    def _listen_on_tcp(self, server: GrpcServer) -> dict[str, str]:
        """Listens on loopback, optionally also with TLS; returns the addresses as fields of `LocalService`."""
        addresses = {"tcp_target": f"127.0.0.1:{server.listen('127.0.0.1:0')}"}
        if self._options.tls:
            import grpc

            from . import tls_certificate

            key, certificate = tls_certificate.make()
            path = self._home.vertex / "certificate.pem"
            write_atomic(path, certificate)
            port = server.listen("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
            addresses |= {"tls_target": f"localhost:{port}", "tls_certificate": str(path)}
        return addresses

    def _serve_rest(self, dispatcher: Dispatcher, token: str) -> str:
        from .api.rest_server import RestServer

        rest = RestServer(dispatcher, self._schema, token)
        rest.start()
        self._stack.callback(rest.stop)
        return rest.url


def _executor() -> Callable[..., JobRunner]:
    from .execution.executor import Executor

    return Executor
