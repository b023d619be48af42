"""Starts, finds and stops the local service. Each home folder has one, which outlives the process that started it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..core.errors import LocalServiceError, storage_errors
from ..core.home import Home
from .endpoint import (
    DEFAULT_PROJECT,
    DEFAULT_REGION,
    LocalService,
    Options,
    is_listening,
    log_path,
    record_path,
    require_own_folder,
)
from .storage import storage_service

_STOP_SECONDS = 20.0


def ensure_running(home: Home, **options: Any) -> LocalService:  # noqa: ANN401 - the fields of Options
    """The service of a home; starts it as a new process if none runs.

    Many processes may call this at once: one of them starts the service, and all get the same.

    Args:
        home: The home folder.
        options: Fields of `Options`, except `home`; used only when the service is started.

    Raises:
        LocalServiceError: It can't be started, or the running service was started without the TCP, TLS, project or
            region that `options` ask for.
    """
    wanted = Options(home=str(home.root), **options)
    running = find(home)
    if running is None:
        with _starting(home):
            running = find(home) or _start(home, wanted)
    _check_options(running, wanted)
    return running


def find(home: Home) -> LocalService | None:
    """The running service of a home; None if none runs."""
    try:
        values = json.loads(record_path(home).read_text())
        service = LocalService(**{**values, "buckets": Path(values["buckets"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return service if is_listening(Path(service.target.removeprefix("unix:"))) else None


def stop(home: Home) -> bool:
    """Stops the service; its jobs go on, and the next service finds them.

    Returns:
        False if no service runs.

    Raises:
        LocalServiceError: It does not end.
    """
    service = find(home)
    if service is None:
        return False
    from .client import request_stop

    request_stop(service)
    deadline = time.monotonic() + _STOP_SECONDS
    while time.monotonic() < deadline:
        if not _is_locked(home):
            if not any((home.vertex / "runs").glob("*")):  # jobs that go on need their buckets
                storage_service.stop(home.vertex)
            return True
        time.sleep(0.02)
    raise LocalServiceError(
        f"the service does not end within {_STOP_SECONDS:.0f} s",
        where=f"process {service.pid}",
        next_step=f"Read {log_path(home)}, then end it with `kill -9 {service.pid}`, which loses no jobs",
    )


def _is_locked(home: Home) -> bool:
    import fcntl

    with (home.vertex / "service.lock").open("a+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


@contextmanager
def _starting(home: Home) -> Iterator[None]:
    """Lets one process at a time start the service."""
    import fcntl

    with storage_errors(home.vertex), (home.vertex / "start.lock").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _start(home: Home, options: Options) -> LocalService:
    require_own_folder(home.vertex)
    reader, writer = os.pipe()
    with os.fdopen(reader) as pipe, storage_errors(home.vertex), log_path(home).open("ab") as log:
        try:
            # -P: a module in the user's current folder must not replace one of ours.
            starter = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    f"{__package__}.server",
                    json.dumps(asdict(options)),
                    str(writer),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[writer],
                start_new_session=True,
            )
        finally:
            os.close(writer)
        result = pipe.read()
        starter.wait()
    service = find(home) if result == "ok" else None
    if service is None:
        raise _start_error(result, home)
    return service


def _start_error(result: str, home: Home) -> LocalServiceError:
    try:
        return LocalServiceError(**json.loads(result))
    except (ValueError, TypeError):
        return LocalServiceError(
            "the local service ended during its start",
            where=log_path(home),
            next_step="Read the end of that file",
        )


def _check_options(service: LocalService, wanted: Options) -> None:
    lacks = [
        name
        for name, missing in (
            ("TCP", wanted.tcp and service.tcp_target is None),
            ("TLS", wanted.tls and service.tls_target is None),
            (f"project {wanted.project}", wanted.project not in {DEFAULT_PROJECT, service.project}),
            (f"region {wanted.region}", wanted.region not in {DEFAULT_REGION, service.region}),
        )
        if missing
    ]
    if lacks:
        raise LocalServiceError(
            f"the running service was started without {' and '.join(lacks)}",
            where=f"process {service.pid}",
            next_step="Stop it with `vertex-training local stop`, then start it with that; running jobs go on",
        )
