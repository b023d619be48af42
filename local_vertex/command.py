"""The commands `vertex-training local start|status|logs|stop`, as functions that return text."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from ..core.errors import LocalServiceError
from ..core.home import Home
from . import endpoint, lifecycle
from .endpoint import LocalService
from .store.records import TERMINAL, JobRecord, LogEntry
from .store.store import Store

_SHOWN_JOBS = 20
_PAGE = 1000
_NAME = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?(:[a-z]([a-z0-9.-]*[a-z0-9])?)?")  # a domain may stand before a project


def start(
    home: Home,
    *,
    tcp: bool = False,
    tls: bool = False,
    faults: Mapping[str, Any] | None = None,
    projects: Sequence[str] = (),
    regions: Sequence[str] = (),
    **cloud: Any,  # noqa: ANN401 - the fields of Options
) -> str:
    """Starts the service, or changes the fault injection of the running one.

    Args:
        home: The home folder.
        tcp: Also listen on loopback, with a token.
        tls: Also listen with TLS.
        faults: New values by name, as `parse_faults` returns them.
        projects: The projects' ids, the default one first. Default: "local".
        regions: The regions that are served, the default one first. Default: "us-central1".
        cloud: `as_cloud`, `other_hosts` and `hosts` of `endpoint.Options`.

    Returns:
        How to connect.

    Raises:
        LocalServiceError: The service can't be started, or runs with other options.
    """
    from .faults import Faults

    Faults().update(faults or {})  # reports an invalid value before anything is started
    chosen = {**places(projects, regions, as_cloud=bool(cloud.get("as_cloud"))), **cloud}
    tcp = tcp or tls or bool(cloud.get("as_cloud"))
    service = lifecycle.ensure_running(home, tcp=tcp, tls=tls, faults=dict(faults or {}), **chosen)
    if faults:
        from .client import set_faults

        set_faults(service, dict(faults))
    return connection(service)


def start_as_cloud(home: Home, projects: Sequence[str], regions: Sequence[str], **cloud: Any) -> LocalService:  # noqa: ANN401
    """The service with Google's hosts; started if none runs.

    One that a run started for itself, which listens on its socket alone, is started again; its jobs go on.

    Args:
        home: The home folder.
        projects: The projects' ids, the default one first; empty for "local", or what the running service has.
        regions: The regions, the default one first; empty for all, or what the running service has.
        cloud: `as_cloud`, `other_hosts` and `hosts` of `endpoint.Options`.

    Raises:
        LocalServiceError: It can't be started, or runs with other options.
    """
    running = lifecycle.find(home)
    if running is not None and running.tcp_target is None:
        lifecycle.stop(home)
        running = None
    chosen = places(projects, regions, as_cloud=running is None)
    return lifecycle.ensure_running(home, tcp=True, **chosen, **cloud)


def places(projects: Sequence[str], regions: Sequence[str], *, as_cloud: bool) -> dict[str, Any]:
    """The projects and regions as fields of `endpoint.Options`.

    Args:
        projects: The projects' ids, the default one first; empty for "local".
        regions: The regions, the default one first; empty for "us-central1".
        as_cloud: Whether no regions mean all of Google's.

    Raises:
        LocalServiceError: A project or region has no valid name.
    """
    for name, what in [*((name, "project") for name in projects), *((name, "region") for name in regions)]:
        if not _NAME.fullmatch(name):
            raise LocalServiceError(
                f"{name!r} is not a valid {what}",
                where=f"--{what}",
                next_step="Use lowercase letters, digits and dashes, and begin with a letter",
            )
    chosen: dict[str, Any] = {}
    if projects:
        chosen |= {"project": projects[0], "projects": tuple(projects[1:])}
    if regions:
        chosen |= {"region": regions[0], "regions": tuple(regions[1:])}
    elif as_cloud:
        chosen["regions"] = ("all",)
    return chosen


def status(home: Home, *, connect: bool = False) -> str:
    """The number of jobs in each state, the newest jobs, and whether the service runs.

    Args:
        home: The home folder.
        connect: Also say how other clients connect, with the token.
    """
    service = lifecycle.find(home)
    lines: list[str] = []
    store = _store(home)
    if store is not None:
        counts = ", ".join(f"{count} {_short(state)}" for state, count in store.count_by_state().items())
        lines += [f"jobs:    {counts or 'none'}"]
        lines += [_job_line(record) for _, record in store.find(limit=_SHOWN_JOBS)]
        lines += [""]
        store.close()
    if service is None:
        return "\n".join([*lines, f"local_vertex does not run (store: {home.vertex})"])
    if connect:
        return "\n".join([*lines, connection(service), ""])
    return "\n".join([*lines, f"local_vertex runs: process {service.pid}, {service.target}"])


def logs(
    home: Home, job: str | None = None, *, follow: bool = False, sleep: Callable[[float], None] = time.sleep
) -> Iterator[str]:
    """The log entries of a job. They are read from the store, so the service need not run.

    Args:
        home: The home folder.
        job: The job's id or resource name. Default: the newest job.
        follow: Continue until the job ends.
        sleep: Waits between two reads of the store.

    Raises:
        LocalServiceError: There is no such job.
    """
    store = _store(home)
    record = _find(store, job) if store is not None else None
    if store is None or record is None:
        raise LocalServiceError(
            f"there is no job {job}" if job else "there is no job yet",
            where=home.vertex,
            next_step="List the jobs with `vertex-training local status`",
        )
    seen = 0
    while True:
        # The state is read before the entries: a job in a terminal state writes no more.
        current = store.get(record.id)
        ended = current is None or current.state in TERMINAL
        lines = store.find_logs("job_id = ? AND seq > ?", [record.id, seen], limit=_PAGE)
        for line in lines:
            yield _log_line(line.entry)
            seen = line.seq
        if not lines and (ended or not follow):
            store.close()
            return
        if not lines:
            sleep(0.2)


def stop(home: Home) -> str:
    """Stops the service; running jobs go on, and the next service finds them.

    Raises:
        LocalServiceError: The service does not end.
    """
    if not lifecycle.stop(home):
        return f"local_vertex does not run (store: {home.vertex})"
    store = _store(home)
    running = len(store.live()) if store else 0
    jobs = "1 job goes" if running == 1 else f"{running} jobs go"
    return "local_vertex stopped" + (f"; {jobs} on, and the next start finds them" if running else "")


def parse_faults(settings: Sequence[str]) -> dict[str, Any]:
    """Parses the values of `--switch`, for example ["stock_out=1", "quotas=true"].

    Raises:
        LocalServiceError: A value doesn't have the form NAME=VALUE.
    """
    faults = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise LocalServiceError(f"{setting!r} is not a switch", next_step="Write NAME=VALUE, like stock_out=1")
        try:
            faults[name] = json.loads(value)
        except ValueError:
            faults[name] = value
    return faults


def connection(service: LocalService) -> str:
    """How to connect to the service, with an example in Python."""
    rows = {
        "process": service.pid,
        "project": f"{service.project} (number {service.project_number}), {service.region}{_others(service)}",
        "bucket": f"gs://{service.bucket} is {service.buckets / service.bucket}",
        "socket": service.target,
        "gRPC": service.tcp_target,
        "REST": service.rest_url,
        "TLS": service.tls_target and f"{service.tls_target}, certificate {service.tls_certificate}",
        "token": service.token,
        "cloud": service.proxy and f"{service.proxy}; `vertex-training local exec -- COMMAND` runs a command with it",
    }
    lines = [f"{name + ':':<9}{value}" for name, value in rows.items() if value]
    return "\n".join(["local_vertex runs", *lines, "", *_python(service)])


def _others(service: LocalService) -> str:
    """How many further projects and regions there are."""
    counts = {"project": len(service.projects) - 1, "region": len(service.regions) - 1}
    parts = [f"{count} more {what}{'s' if count > 1 else ''}" for what, count in counts.items() if count > 0]
    return f"; {' and '.join(parts)}" if parts else ""


def _python(service: LocalService) -> list[str]:
    lines = [
        "import grpc",
        "from google.cloud.aiplatform_v1 import JobServiceClient",
        "from google.cloud.aiplatform_v1.services.job_service.transports import JobServiceGrpcTransport",
        f'channel = grpc.insecure_channel("{service.target}")',
        "jobs = JobServiceClient(transport=JobServiceGrpcTransport(channel=channel))",
        f'print(list(jobs.list_custom_jobs(parent="{service.parent}")))',
    ]
    if service.rest_url:
        lines += [
            "",
            "from google.cloud import aiplatform",
            "from google.oauth2.credentials import Credentials",
            f'aiplatform.init(project="{service.project}", location="{service.region}",',
            f'    staging_bucket="gs://{service.bucket}", api_transport="rest",',
            f'    api_endpoint="{service.rest_url}", credentials=Credentials("{service.token}"))',
        ]
    return lines


def _store(home: Home) -> Store | None:
    path = endpoint.store_path(home)
    return Store(path, read_only=True) if path.exists() else None


def _find(store: Store, job: str | None) -> JobRecord | None:
    if job:
        return store.get(job.rpartition("/")[2])
    newest = store.find(limit=1)
    return newest[0][1] if newest else None


def _short(state: str) -> str:
    return state.removeprefix("JOB_STATE_").lower()


def _local_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _job_line(record: JobRecord) -> str:
    return f"{record.id}  {_local_time(record.create_time or 0)}  {_short(record.state):<10} {record.display_name}"


def _log_line(entry: LogEntry) -> str:
    payload = entry.payload
    if isinstance(payload, dict):
        message = payload.get("message")
        payload = message if isinstance(message, str) else json.dumps(payload)
    return f"{_local_time(entry.timestamp)}  {entry.task}  {payload}"
