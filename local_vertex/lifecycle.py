"""Starts, finds and stops the local service. Each home folder has one, which outlives the process that started it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from ..core.background.detached import READY, reported_error, start_detached
from ..core.background.process_lock import is_held, one_at_a_time
from ..core.errors import LocalServiceError
from ..core.home import Home
from .endpoint import (
    DEFAULT_PROJECT,
    DEFAULT_REGION,
    LocalService,
    Options,
    is_listening,
    lock_path,
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
        with one_at_a_time(home.vertex / "start.lock"):
            running = find(home) or _start(home, wanted)
    _check_options(running, wanted)
    return running


def ensure_regions(home: Home, regions: Sequence[str]) -> LocalService:
    """As `ensure_running`, for a service that serves these regions beside others.

    One that a run started for itself, which listens on its socket alone, is started again with them, and with the
    faults that were set; its jobs go on.

    Raises:
        LocalServiceError: As `ensure_running`.
    """
    running = find(home)
    if running is None or running.tcp_target is not None:
        return ensure_running(home, regions=tuple(regions))
    served = (running.region, *running.regions)
    missing = [region for region in regions if region not in served]
    if missing:
        from .client import set_faults

        faults = set_faults(running, {})
        stop(home)
        places = {"project": running.project, "projects": running.projects, "region": running.region}
        return ensure_running(home, regions=(*running.regions, *missing), faults=faults, **places)
    return running


def find(home: Home) -> LocalService | None:
    """The running service of a home; None if none runs."""
    try:
        values = json.loads(record_path(home).read_text())
        known = {field.name for field in fields(LocalService)}  # a later version may write more
        service = LocalService(**{name: value for name, value in values.items() if name in known})
        places = {name: tuple(values.get(name, ())) for name in ("projects", "regions")}
        service = replace(service, buckets=Path(values["buckets"]), **places)
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
        if not is_held(lock_path(home)):
            if not any(path.is_dir() for path in (home.vertex / "runs").glob("*")):  # jobs that go on need buckets
                storage_service.stop(home.vertex)
            return True
        time.sleep(0.02)
    raise LocalServiceError(
        f"the service does not end within {_STOP_SECONDS:.0f} s",
        where=f"process {service.pid}",
        next_step=f"Read {log_path(home)}, then end it with `kill -9 {service.pid}`, which loses no jobs",
    )


def _start(home: Home, options: Options) -> LocalService:
    require_own_folder(home.vertex)
    result = start_detached(f"{__package__}.server", asdict(options), log_path(home))
    service = find(home) if result == READY else None
    if service is None:
        raise reported_error(result, LocalServiceError) or LocalServiceError(
            "the local service ended during its start",
            where=log_path(home),
            next_step="Read the end of that file",
        )
    return service


def _missing_projects(service: LocalService, wanted: Options) -> list[str]:
    served = {DEFAULT_PROJECT, service.project, *service.projects}
    return [name for name in (wanted.project, *wanted.projects) if name not in served]


def _missing_regions(service: LocalService, wanted: Options) -> list[str]:
    served = {DEFAULT_REGION, service.region, *service.regions}
    return [name for name in wanted.locations().regions if name not in served]


def _check_options(service: LocalService, wanted: Options) -> None:
    lacks = [
        name
        for name, missing in (
            ("TCP", wanted.tcp and service.tcp_target is None),
            ("TLS", wanted.tls and service.tls_target is None),
            ("--as-cloud", wanted.as_cloud and service.proxy is None),
            *((f"project {name}", True) for name in _missing_projects(service, wanted)),
            *((f"region {name}", True) for name in _missing_regions(service, wanted)),
        )
        if missing
    ]
    if lacks:
        raise LocalServiceError(
            f"the running service was started without {' and '.join(lacks)}",
            where=f"process {service.pid}",
            next_step="Stop it with `vertex-training local stop`, then start it with that; running jobs go on",
        )
