"""What a container writes, and how it ended; by threads, for the engine's client blocks."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from typing import Any

from ....core.errors import DockerError, StorageError
from ....images.docker.engine_errors import engine_errors
from ..context import Context
from ..log_stream import Stream
from ..replica import Exit

WHAT = "to run a replica"
"""What was being asked, for errors that the engine answers."""

_RETRY_SECONDS = 1.0
_NO_PROGRAM = frozenset((126, 127))


class ContainerLog:
    """One container's two outputs.

    Args:
        context: Whose store gets the lines.
        api: The engine's.
        container: Its name.
        job_id: Whose lines they are.
        task: As "workerpool0-0".
        run: Names the run within the job.
    """

    def __init__(  # noqa: PLR0917 - what names a stream
        self,
        context: Context,
        api: Any,  # noqa: ANN401 - docker-py has no types
        container: str,
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
        """As the engine has it; None when there is no such container."""
        from docker.errors import NotFound

        with engine_errors(WHAT):
            try:
                return self._api.inspect_container(self._container)["State"]
            except NotFound:
                return None

    def read_to_end(self) -> Exit | None:
        """Reads until it has ended and every line is in the store; None when the service ends before that."""
        errors = threading.Thread(target=self._read, args=("stderr",), daemon=True)
        errors.start()
        self._read("stdout")
        errors.join()
        return None if self._context.left.is_set() else self._end()

    def _read(self, output: str) -> None:
        """Until the container has ended and all that it wrote is in the store."""
        stream = Stream(self._context.store, self._job_id, self._name, self._run, output)
        while not self._context.left.is_set():
            rest = bytearray()
            with contextlib.suppress(DockerError, StorageError):
                is_over = not self._is_running()
                self._read_once(stream, output, rest)
                if is_over and not self._context.left.is_set():
                    stream.take(bytes(rest), final=True)
                    return
                continue
            time.sleep(_RETRY_SECONDS)

    def _read_once(self, stream: Stream, output: str, rest: bytearray) -> None:
        """Reads the log from its beginning to its present end, and on until it closes."""
        from docker.errors import NotFound

        known = stream.position
        with engine_errors(WHAT):
            try:
                pieces = self._api.logs(
                    self._container, stream=True, follow=True, stdout=output == "stdout", stderr=output == "stderr"
                )
                for piece in pieces:
                    if self._context.left.is_set():
                        return
                    skipped = min(known, len(piece))
                    known -= skipped
                    rest += piece[skipped:]
                    before = stream.position
                    stream.take(bytes(rest))
                    del rest[: stream.position - before]
            except NotFound:
                return

    def _is_running(self) -> bool:
        state = self.state()
        return state is not None and (state["Running"] or state["Status"] == "created")

    def _init_said(self) -> str:
        """The words of the init that could not start the program; empty if it was the program that ended so."""
        with engine_errors(WHAT):
            last: bytes = self._api.logs(self._container, stdout=False, stderr=True, tail=1)
        found = re.match(r"\[FATAL tini \(\d+\)\] exec (.+) failed: (.+)", last.decode("utf-8", "replace"))
        return f'exec: "{found[1]}": {found[2].lower()}' if found else ""

    def _end(self) -> Exit:
        while True:
            with contextlib.suppress(DockerError):
                state = self.state()
                if state is None:
                    return Exit(137, "Lost", "", time.time())
                if state["OOMKilled"]:
                    return Exit(state["ExitCode"], "OOMKilled", "", time.time())
                code = state["ExitCode"]
                if code in _NO_PROGRAM and (said := self._init_said()):
                    return Exit(128, "StartError", said, time.time())
                return Exit(code, "Error" if code else "Completed", "", time.time())
            time.sleep(_RETRY_SECONDS)
