"""A container's output and exit status. All methods block; they run in threads."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from typing import Any

from ....core.errors import DockerError, StorageError
from ....images.docker.engine_errors import engine_errors
from ..replica.context import Context
from ..replica.environment import LOCAL_GS
from ..replica.log_stream import LogStream
from ..replica.runner import Exit

ACTION = "to run a replica"
"""What the engine was asked for, for error messages."""

_RETRY_SECONDS = 1.0
_NO_PROGRAM = frozenset((126, 127))  # as shells: the program is not executable, or doesn't exist
# Docker's init is tini, https://github.com/krallin/tini
_INIT_ERROR = re.compile(r"\[FATAL tini \(\d+\)\] exec (.+) failed: (.+)")


class ContainerLog:
    """The standard output and error of one container.

    Args:
        context: What all jobs share.
        api: docker-py's low-level client.
        container: Name of the container.
        job_id: The job of the replica.
        task: Name of the replica, for example "workerpool0-0".
        run: Name of the run within the job.
    """

    def __init__(
        self,
        context: Context,
        api: Any,  # noqa: ANN401 - docker-py has no types
        container: str,
        *,
        job_id: str,
        task: str,
        run: str,
    ) -> None:
        self._context = context
        self._api = api
        self._container = container
        self._job_id = job_id
        self._name = task
        self._run = run

    def state(self) -> dict[str, Any] | None:
        """The engine's `State` of the container; None if there is no such container."""
        from docker.errors import NotFound

        with engine_errors(ACTION):
            try:
                return self._api.inspect_container(self._container)["State"]
            except NotFound:
                return None

    def read_to_end(self) -> Exit | None:
        """Stores all output until the container has ended; returns None if the service ends first."""
        errors = threading.Thread(target=self._read, args=("stderr",), daemon=True)
        errors.start()
        self._read("stdout")
        errors.join()
        return None if self._context.stopping.is_set() else self._end()

    def _read(self, output: str) -> None:
        """Stores one output until the container has ended."""
        stream = LogStream(
            self._context.store,
            self._job_id,
            self._name,
            self._run,
            output,
            plain=lambda: self._context.faults.plain_lines,
        )
        while not self._context.stopping.is_set():
            rest = bytearray()
            with contextlib.suppress(DockerError, StorageError):
                is_over = not self._is_running()
                self._read_once(stream, output, rest)
                if is_over and not self._context.stopping.is_set():
                    stream.add(bytes(rest), final=True)
                    return
                continue
            time.sleep(_RETRY_SECONDS)

    def _read_once(self, stream: LogStream, output: str, rest: bytearray) -> None:
        """Reads the output from its beginning until the engine closes the stream; skips what is in the store."""
        from docker.errors import NotFound

        known = stream.position
        with engine_errors(ACTION):
            try:
                pieces = self._api.logs(
                    self._container, stream=True, follow=True, stdout=output == "stdout", stderr=output == "stderr"
                )
                for piece in pieces:
                    if self._context.stopping.is_set():
                        return
                    skipped = min(known, len(piece))
                    known -= skipped
                    rest += piece[skipped:]
                    before = stream.position
                    stream.add(bytes(rest))
                    del rest[: stream.position - before]
            except NotFound:
                return

    def _is_running(self) -> bool:
        state = self.state()
        return state is not None and (state["Running"] or state["Status"] == "created")

    def _init_error(self) -> str:
        """The error of Docker's init if it could not start the program; empty if the program itself ended so."""
        with engine_errors(ACTION):
            last: bytes = self._api.logs(self._container, stdout=False, stderr=True, tail=1)
        found = _INIT_ERROR.match(last.decode("utf-8", "replace"))
        return f'exec: "{found[1]}": {found[2].lower()}' if found else ""

    def _wrote_to_gs_folder(self) -> bool:
        with engine_errors(ACTION):
            return any(change["Path"].endswith("/gs:") for change in self._api.diff(self._container) or ())

    def _end(self) -> Exit:
        while True:
            with contextlib.suppress(DockerError):
                state = self.state()
                if state is None:
                    return Exit(137, "Lost", "", time.time())
                if state["OOMKilled"]:
                    return Exit(state["ExitCode"], "OOMKilled", "", time.time())
                code = state["ExitCode"]
                if code in _NO_PROGRAM and (message := self._init_error()):
                    return Exit(128, "StartError", message, time.time())
                if not code and self._wrote_to_gs_folder():
                    return Exit(1, "Error", LOCAL_GS, time.time())
                return Exit(code, "Error" if code else "Completed", "", time.time())
            time.sleep(_RETRY_SECONDS)
