"""Replicas as containers of a Docker engine.

docker-py speaks to it: the engine's streams change protocol in the middle of an answer, and its settings (contexts,
certificates, logins) are found the way `docker` finds them. It is imported when the first image with a base comes.

The engine is what outlives the service here: a container's name says which run it is, so a second start is a conflict;
the engine keeps its exit status; and its log can be read again from the beginning, byte for byte, so a stream's place
in the store says what was read.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

from ....core.errors import DockerError, ImageError
from ....images.docker.engine_errors import engine_errors
from ....images.oci.config import PREFIX
from ..attempt import Attempt
from ..context import Context
from ..environment import command_line, output_folders
from ..process.path_mapping import bucket_folder
from ..replica import Exit, Replica
from .images import bring
from .log import WHAT, ContainerLog

if TYPE_CHECKING:
    from docker import DockerClient

_TIMEOUT = 300  # seconds for one answer; a stream may be silent for longer
_RETRY_SECONDS = 1.0
_JOB, _ATTEMPT = f"{PREFIX}.job", f"{PREFIX}.attempt"
_NEVER = "0001-01-01"


def connect() -> DockerClient:
    """A client of the machine's engine.

    Raises:
        DockerError: None answers.
    """
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=_TIMEOUT)
        client.ping()
    except DockerException as error:
        raise DockerError(
            "the image brings a base system, and no Docker engine answers to run it",
            where=str(error)[:200],
            next_step="Start Docker, or build the image without a base",
        ) from error
    return client


class Containers:
    """Runs an attempt's replicas as containers; blocks while the engine is asked.

    Raises:
        DockerError: No engine answers.
    """

    def __init__(self, context: Context, attempt: Attempt) -> None:
        self.context = context
        self.attempt = attempt
        self.engine = connect()
        self.prefix = f"vertex-training-{attempt.job_id}-{attempt.number}"
        self._lock = threading.Lock()

    def replica(self, name: str, number: int) -> Replica:
        """A run of a replica."""
        return _Container(self, name, number)

    async def clean(self) -> None:
        """Removes the attempt's containers and its network."""
        with contextlib.suppress(DockerError):
            await asyncio.to_thread(self._clean)
        self.engine.close()

    def network(self) -> str:
        """The network in which replicas find each other by name; the engine's own for a single one."""
        if len(self.attempt.addresses) == 1:
            return "bridge"
        with self._lock, engine_errors(WHAT):
            # Two networks may have one name, so it is looked for before it is made.
            if not self.engine.networks.list(names=[f"^{self.prefix}$"]):
                self.engine.networks.create(self.prefix, driver="bridge", labels=self.labels)
        return self.prefix

    @property
    def labels(self) -> dict[str, str]:
        """What everything of this attempt is found by."""
        return {_JOB: self.attempt.job_id, _ATTEMPT: str(self.attempt.number)}

    def _clean(self) -> None:
        from docker.errors import NotFound

        wanted: dict[str, Any] = {"label": [f"{name}={value}" for name, value in self.labels.items()]}
        with engine_errors(WHAT):
            for container in self.engine.containers.list(all=True, filters=wanted, ignore_removed=True):
                with contextlib.suppress(NotFound):
                    container.remove(force=True, v=True)
            for network in self.engine.networks.list(filters=wanted):
                with contextlib.suppress(NotFound):
                    network.remove()


class _Container:
    def __init__(self, backend: Containers, name: str, number: int) -> None:
        self._backend = backend
        self._context = backend.context
        self._attempt = backend.attempt
        self._api: Any = backend.engine.api
        self._name = name
        self._container = f"{backend.prefix}-{name}-{number}"
        run = f"{backend.attempt.number}-{name}.{number}"
        self._log = ContainerLog(self._context, self._api, self._container, backend.attempt.job_id, name, run)
        self._exit: asyncio.Future[Exit] | None = None

    async def start(self) -> bool:
        """Makes and starts the container, unless that was done before."""
        if await asyncio.to_thread(self._log.state) is None:
            async with self._context.bringing:
                reference = await asyncio.to_thread(self._bring)
            await asyncio.to_thread(self._create, reference)
        failure = await asyncio.to_thread(self._start)
        self._follow(failure)
        return failure is None

    async def wait(self) -> Exit:
        """How it ended."""
        assert self._exit is not None
        return await asyncio.shield(self._exit)

    async def stop(self, grace: float) -> None:
        """Ends it; an engine that doesn't answer is waited for, because the container may outlive its absence."""
        while True:
            try:
                was_running = await asyncio.to_thread(self._stop, grace)
                break
            except DockerError:
                await asyncio.sleep(_RETRY_SECONDS)
        if was_running:
            self._follow(None)

    async def drain(self) -> None:
        """Waits for the threads that read its log."""
        if self._exit is not None:
            await self.wait()

    # In threads, for the engine's client blocks

    def _start(self) -> Exit | None:
        """Returns how it failed to start, or None."""
        from docker.errors import APIError

        state = self._log.state()
        if state is None:
            return Exit(137, "Lost", "", time.time())
        if not state["StartedAt"].startswith(_NEVER):
            return None
        if not state.get("Error"):
            try:
                self._api.start(self._container)
            except APIError as error:
                state["Error"] = error.explanation or str(error)
            else:
                return None
        return Exit(128, "StartError", " ".join(str(state["Error"]).split()), time.time())

    def _bring(self) -> str:
        image = self._context.images.find(self._attempt.pool(self._name).image)
        return bring(self._backend.engine, image)

    def _create(self, reference: str) -> None:
        from docker.errors import APIError

        pool = self._attempt.pool(self._name)
        image = self._context.images.find(pool.image)
        variables = self._attempt.env(self._name)
        for uri in output_folders(self._attempt.spec):
            bucket_folder(self._context.buckets, uri)
        entrypoint, arguments = command_line(pool, image.entrypoint, image.arguments, variables)
        if not entrypoint and not arguments:
            raise ImageError("the image says nothing to run", where=pool.image, next_step="Give the job a command")
        network = self._backend.network()
        alias = self._api.create_endpoint_config(aliases=[self._name] if network != "bridge" else None)
        with engine_errors(WHAT):
            try:
                self._api.create_container(
                    reference,
                    entrypoint=entrypoint or None,
                    command=arguments,
                    name=self._container,
                    hostname=self._name,
                    environment=[f"{name}={value}" for name, value in variables.items()],
                    labels={**self._backend.labels, f"{PREFIX}.replica": self._name},
                    networking_config=self._api.create_networking_config({network: alias}),
                    host_config=self._host_config(network),
                )
            except APIError as error:
                if error.status_code != 409:  # a service before this one had made it
                    raise

    def _host_config(self, network: str) -> Any:  # noqa: ANN401 - docker-py has no types
        options: dict[str, Any] = {"ipc_mode": "host"} if self._context.switches.ipc_host else {}
        return self._api.create_host_config(
            binds={str(self._context.buckets.absolute()): {"bind": "/gcs", "mode": "rw"}},
            init=True,  # as process 1 a program would not hear SIGTERM unless it asks for it
            network_mode=network,
            # Whatever the engine's own choice is: this log can be read back, and is never cut off. "-1", which the
            # documents give for no limit, is refused by Docker 20.10 when the container starts.
            log_config={"Type": "json-file", "Config": {"max-size": "1000g"}},
            **options,
        )

    def _stop(self, grace: float) -> bool:
        """Whether there was a container that had been started."""
        from docker.errors import NotFound

        with engine_errors(WHAT):
            try:
                self._api.stop(self._container, timeout=round(grace))
                if self._api.inspect_container(self._container)["State"]["Status"] != "created":
                    return True
                self._api.remove_container(self._container, force=True, v=True)
            except NotFound:
                pass
        return False

    def _follow(self, failure: Exit | None) -> None:
        """Reads what it writes, in threads, until it has ended."""
        if self._exit is not None:
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Exit] = loop.create_future()
        self._exit = future
        if failure is not None:
            future.set_result(failure)
            return

        def tell(end: Exit) -> None:
            if not future.done():
                future.set_result(end)

        def watch() -> None:
            end = self._log.read_to_end()
            if end is not None:
                with contextlib.suppress(RuntimeError):  # the service ends meanwhile
                    loop.call_soon_threadsafe(tell, end)

        threading.Thread(target=watch, name=self._container, daemon=True).start()
