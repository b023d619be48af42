"""One run of a replica as a container."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from ....core.errors import DockerError
from ....images.docker.engine_errors import engine_errors
from ..replica.attempt import Attempt
from ..replica.bucket_folders import bucket_folder
from ..replica.context import Context
from ..replica.environment import command_line, output_folders
from ..replica.own_threads import OwnThreads
from ..replica.runner import Exit
from ..replica.storage_access import HOST_NAME, ContainerStorage
from .container_log import ACTION, ContainerLog
from .images import ensure_image

if TYPE_CHECKING:
    from docker import DockerClient

_RETRY_SECONDS = 1.0
_NEVER_STARTED = "0001-01-01"  # how the engine's StartedAt begins before the first start
_DEFAULT_NETWORKS = ("bridge", "podman")
"""What Docker and podman call the network of a container for which none is named."""


def host_address(network: Mapping[str, Any]) -> str | None:
    """This machine's address in a network of the engine, for which `host-gateway` stands; None if it has none.

    After an engine's first start its default network has a subnet and no gateway, until the engine starts again
    (https://github.com/moby/moby/issues/26799). The gateway is then the subnet's first address.

    Args:
        network: What the engine says of the network.
    """
    configs = (network.get("IPAM") or {}).get("Config") or ()
    for config in configs:
        if config.get("Gateway"):
            return config["Gateway"].partition("/")[0]
    for config in configs:
        with contextlib.suppress(KeyError, ValueError, StopIteration):
            return str(next(ip_network(config["Subnet"], strict=False).hosts()))
    return None


@dataclass(frozen=True, slots=True)
class ContainerSettings:
    """How the container of a replica is named and connected.

    Attributes:
        name: Name of the container.
        replica: Name of the replica, also its host name.
        run: Name of the run within the job.
        labels: Labels of the container.
        network: Returns the network in which replicas find each other, or None for the engine's default; blocks.
    """

    name: str
    replica: str
    run: str
    labels: Mapping[str, str]
    network: Callable[[], str | None]


class Container:
    """One run of a replica as a container; implements `Replica`.

    Args:
        context: What all jobs share.
        attempt: The attempt at the job.
        engine: The Docker engine.
        pulling: Threads in which the engine gets images, so that one that takes long holds up only its own jobs.
        settings: Names, labels and network.
    """

    def __init__(
        self,
        context: Context,
        attempt: Attempt,
        engine: DockerClient,
        pulling: OwnThreads,
        settings: ContainerSettings,
    ) -> None:
        self._context = context
        self._attempt = attempt
        self._engine = engine
        self._pulling = pulling
        self._settings = settings
        self._api: Any = engine.api
        self._log = ContainerLog(
            context, self._api, settings.name, job_id=attempt.job_id, task=settings.replica, run=settings.run
        )
        self._exit: asyncio.Future[Exit] | None = None

    async def start(self) -> bool:
        """Creates and starts the container, unless that was done before."""
        if await asyncio.to_thread(self._log.state) is None:
            image = self._attempt.pool(self._settings.replica).image
            reference = await self._pulling.run(f"pull {image}", self._ensure_image, at_a_time=1)
            await asyncio.to_thread(self._create, reference)
        failure = await asyncio.to_thread(self._start)
        self._read_output(failure)
        return failure is None

    async def wait(self) -> Exit:
        """Waits for the end of the container."""
        assert self._exit is not None
        return await asyncio.shield(self._exit)

    async def stop(self, grace: float) -> None:
        """Stops the container; waits for an engine that doesn't respond, because the container may outlive that."""
        while True:
            try:
                was_started = await asyncio.to_thread(self._stop, grace)
                break
            except DockerError:
                await asyncio.sleep(_RETRY_SECONDS)
        if was_started:
            self._read_output(None)

    async def drain(self) -> None:
        """Waits for the threads that read the output."""
        if self._exit is not None:
            await self.wait()

    # The methods below run in threads, because the engine's client blocks.

    def _start(self) -> Exit | None:
        """Starts the container; returns the failure, or None."""
        from docker.errors import APIError

        state = self._log.state()
        if state is None:
            return Exit(137, "Lost", "", time.time())
        if not state["StartedAt"].startswith(_NEVER_STARTED):
            return None
        if not state.get("Error"):
            try:
                self._api.start(self._settings.name)
            except APIError as error:
                state["Error"] = error.explanation or str(error)
            else:
                return None
        return Exit(128, "StartError", " ".join(str(state["Error"]).split()), time.time())

    def _ensure_image(self) -> str:
        image = self._context.images.known(self._attempt.pool(self._settings.replica).image)
        return ensure_image(self._engine, image)

    def _create(self, reference: str) -> None:
        from docker.errors import APIError

        settings = self._settings
        pool = self._attempt.pool(settings.replica)
        image = self._context.images.known(pool.image)
        network = settings.network()
        storage = self._context.storage.for_container(self._gateway())
        variables = self._attempt.env(settings.replica, storage.variables)
        for uri in output_folders(self._attempt.spec):
            bucket_folder(self._context.buckets, uri)
        entrypoint, arguments = command_line(pool, image.entrypoint, image.arguments, variables)
        self._context.storage.make_buckets([*entrypoint, *arguments, *variables.values()])
        endpoints = {network: self._api.create_endpoint_config(aliases=[settings.replica])} if network else {}
        with engine_errors(ACTION):
            try:
                self._api.create_container(
                    reference,
                    entrypoint=entrypoint or None,
                    command=arguments,
                    name=settings.name,
                    hostname=settings.replica,
                    environment=[f"{name}={value}" for name, value in variables.items()],
                    labels=dict(settings.labels),
                    networking_config=self._api.create_networking_config(endpoints),
                    host_config=self._host_config(network, storage),
                )
            except APIError as error:
                if error.status_code != 409:  # a service before this one has created it
                    raise

    def _gateway(self) -> str | None:
        """This machine's address in the engine's default network."""
        from docker.errors import APIError

        for name in _DEFAULT_NETWORKS:
            with contextlib.suppress(APIError):
                return host_address(self._api.inspect_network(name))
        return None

    def _host_config(self, network: str | None, storage: ContainerStorage) -> Any:  # noqa: ANN401 - docker-py has no types
        options: dict[str, Any] = {"ipc_mode": "host"} if self._context.faults.ipc_host else {}
        from docker.types import Mount

        binds = {str(self._context.buckets.absolute()): {"bind": "/gcs", "mode": "rw"}, **storage.binds}
        # Not `binds`, whose text is split at colons, which a home's path may have.
        mounts = [
            Mount(place["bind"], source, type="bind", read_only=place["mode"] == "ro")
            for source, place in binds.items()
        ]
        return self._api.create_host_config(
            mounts=mounts,
            extra_hosts={HOST_NAME: storage.host},
            init=True,  # as process 1, a program would ignore SIGTERM unless it handles it
            network_mode=network or "default",
            # Not the engine's default: a json-file log can be read again, and without a limit nothing is cut off.
            # Docker 20.10 documents "-1" for no limit, but refuses it when the container starts.
            log_config={"Type": "json-file", "Config": {"max-size": "1000g"}},
            **options,
        )

    def _stop(self, grace: float) -> bool:
        """Whether there was a container that had been started."""
        from docker.errors import NotFound

        name = self._settings.name
        with engine_errors(ACTION):
            try:
                self._api.stop(name, timeout=round(grace))
                if self._api.inspect_container(name)["State"]["Status"] != "created":
                    return True
                self._api.remove_container(name, force=True, v=True)
            except NotFound:
                pass
        return False

    def _read_output(self, failure: Exit | None) -> None:
        """Reads the output in threads until the container has ended."""
        if self._exit is not None:
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Exit] = loop.create_future()
        self._exit = future
        if failure is not None:
            future.set_result(failure)
            return

        def set_exit(end: Exit) -> None:
            if not future.done():
                future.set_result(end)

        def read() -> None:
            end = self._log.read_to_end()
            if end is not None:
                with contextlib.suppress(RuntimeError):  # the event loop is closed: the service is ending
                    loop.call_soon_threadsafe(set_exit, end)

        threading.Thread(target=read, name=self._settings.name, daemon=True).start()
