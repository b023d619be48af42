"""The parts of a running service: the store, the API over gRPC and REST, and what runs the jobs.

The executor is imported late: that takes as long as a third of everything else. The service responds before that, and
only methods that change a job wait for it. What few clients call is imported when it is called.
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
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..core.atomic_files import write_atomic
from ..core.errors import storage_errors
from ..core.home import Home
from .api import schema as schemas
from .api.collections.listed_locations import LocationsApi
from .api.collections.operations import OperationsApi
from .api.dispatcher import Apis, Dispatcher, methods
from .api.grpc_server import GrpcServer
from .api.jobs import JobsApi, Runner
from .api.logs import LogsApi
from .api.names import Names
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
from .further_apis import FurtherApis
from .lent_logins import LentLogins
from .location import Location
from .storage.objects.denied_permissions import deny
from .storage.storage_service import storage_folder
from .store.store import Store

if TYPE_CHECKING:
    from .cloud.cloud_server import CloudServer

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
        deny(storage_folder(home.vertex), self._faults.denied_permissions)
        self._logins = LentLogins()
        self._locations = options.locations()
        self._location = self._locations.default
        self._token = secrets.token_urlsafe(32) if options.tcp else None
        self._started_runner: JobRunner | None = None
        self._runner: Future[Runner] = Future()
        self._store = Store(store_path(home))
        stack.callback(self._store.close)
        self._store.adopt(self._location.project_id, self._location.project_number, self._location.region)
        # Before everything that serves the API, so that it runs after the API has stopped.
        stack.callback(self._stop_runner)
        with storage_errors(buckets_path(home)):
            (buckets_path(home) / BUCKET).mkdir(parents=True, exist_ok=True)

    def listen(self) -> LocalService:
        """Starts the API on all addresses; returns how to reach it.

        Raises:
            LocalServiceError: An address can't be used.
        """
        logs = LogsApi(store=self._store, faults=self._faults, locations=self._locations, schema=self._schema)
        quotas = Quotas(self._faults, self._location.project_number)
        table = methods(self._apis(logs))
        dispatcher = Dispatcher(table, self._faults, quotas, self._locations, traceback.print_exception)
        admin = {ADMIN_SERVICE: {SET_FAULTS: self._set_faults, STOP: self._request_stop, LEND_LOGIN: self._lend_login}}
        socket = socket_path(self._home)
        cloud = self._cloud(socket) if self._options.as_cloud and self._token else None
        region_of = cloud.region_of if cloud else lambda _: ""
        server = GrpcServer(dispatcher, logs, self._schema, admin, self._token, region_of=region_of)
        socket.unlink(missing_ok=True)
        server.listen(f"unix:{socket}")
        tcp = self._listen_on_tcp(server) if self._options.tcp else {}
        rest_url = self._serve_rest(dispatcher, self._token) if self._token else None
        server.start()
        self._stack.callback(server.stop, _STOP_SECONDS)
        further = len(self._locations.projects) + len(self._locations.regions) > 2
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
            projects=tuple(self._locations.projects) if further else (),
            regions=tuple(self._locations.regions) if further else (),
            **tcp,
            **self._start_cloud(cloud, tcp.get("tcp_target"), rest_url),
        )

    def _cloud(self, socket: Path) -> CloudServer:
        from .cloud import hosts
        from .cloud.cloud_server import CloudServer
        from .cloud.identity import Identity

        assert self._token is not None
        identity = Identity(self._token, self._locations)
        return CloudServer(
            self._home.vertex / "cloud",
            socket.with_name("identity.sock"),
            identity,
            self._faults,
            hosts.parse(self._options.hosts),
            passes=self._options.other_hosts == "pass",
        )

    def _start_cloud(self, cloud: CloudServer | None, grpc: str | None, rest: str | None) -> dict[str, str]:
        """Starts the proxy and the metadata server; returns their addresses as fields of `LocalService`."""
        if cloud is None or grpc is None or rest is None:
            return {}
        from .cloud.hosts import Address

        targets = [Address("127.0.0.1", int(url.rpartition(":")[2])) for url in (grpc, rest)]
        self._stack.callback(cloud.stop)
        return asdict(cloud.start(targets[0], targets[1]))

    def _apis(self, logs: LogsApi) -> Apis:
        names = Names(self._locations, self._faults)
        store, schema = self._store, self._schema
        operations = OperationsApi(store=store, names=names, schema=schema)
        jobs = JobsApi(
            store=store,
            runner=self._runner,
            faults=self._faults,
            names=names,
            operations=operations,
            schema=schema,
        )
        further = FurtherApis(
            store=store,
            jobs=jobs,
            operations=operations,
            names=names,
            schema=schema,
            locations=self._locations,
            buckets=buckets_path(self._home),
        )
        self._tuner = further.tuner
        return Apis(
            jobs=jobs,
            models=further.models,
            tuning=further.tuning,
            pipelines=further.pipelines,
            persistent=further.persistent,
            operations=operations,
            locations=LocationsApi(locations=self._locations, names=names, schema=schema),
            logs=logs,
            written=further.written,
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
            self._tuner.start()
        except Exception as error:  # noqa: BLE001 - reported by every method that changes a job
            traceback.print_exception(error)
            self._runner.set_exception(error)

    def _stop_runner(self) -> None:
        self._tuner.stop()
        if self._started_runner is not None:
            self._started_runner.stop()

    def _set_faults(self, changes: dict[str, Any]) -> dict[str, Any]:
        self._faults.update(changes)
        deny(storage_folder(self._home.vertex), self._faults.denied_permissions)
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
        from .api.rest.rest_server import RestServer

        rest = RestServer(dispatcher, self._schema, token)
        rest.start()
        self._stack.callback(rest.stop)
        return rest.url


def _executor() -> Callable[..., JobRunner]:
    from .execution.executor import Executor

    return Executor
