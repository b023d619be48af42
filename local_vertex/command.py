"""What `vertex-training local start|status|logs|stop` does: text for people, from plain functions."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from ..core.errors import LocalServiceError
from ..core.home import Home
from . import endpoint
from . import lifecycle as services
from .endpoint import LocalService
from .store.store import TERMINAL, JobRecord, LogEntry, Store

_SHOWN_JOBS = 20
_PAGE = 1000


def start(
    home: Home,
    *,
    tcp: bool = False,
    tls: bool = False,
    switches: Mapping[str, Any] | None = None,
    project: str | None = None,
    region: str | None = None,
) -> str:
    """Starts the service, or turns the switches of the one that runs.

    Args:
        home: Where its store lies.
        tcp: Also listen on loopback, with a token.
        tls: With TLS too.
        switches: As `parse_switches` returns them.
        project: The project's id; "local" when missing.
        region: "us-central1" when missing.

    Returns:
        What another client needs to connect.

    Raises:
        LocalServiceError: It can't be started, or not that way.
    """
    from .faults import Switches

    Switches().update(switches or {})  # a bad switch is told before anything starts
    chosen = {name: value for name, value in (("project", project), ("region", region)) if value}
    service = services.ensure_running(home, tcp=tcp or tls, tls=tls, switches=dict(switches or {}), **chosen)
    if switches:
        from .client import admin

        admin(service, "Switches", dict(switches))
    return connection(service)


def status(home: Home) -> str:
    """Whether the service runs, how to reach it, and its jobs: how many in which state, and the newest ones."""
    service = services.find(home)
    lines = [connection(service) if service else f"local_vertex does not run (store: {home.vertex})"]
    store = _store(home)
    if store is not None:
        counts = ", ".join(f"{count} {_short(state)}" for state, count in store.count_by_state().items())
        lines += ["", f"jobs:    {counts or 'none'}"]
        lines += [_job_line(record) for _, record in store.find(limit=_SHOWN_JOBS)]
        store.close()
    return "\n".join(lines)


def logs(
    home: Home, job: str | None = None, *, follow: bool = False, sleep: Callable[[float], None] = time.sleep
) -> Iterator[str]:
    """The lines that a job wrote; read from the store, so the service need not run.

    Args:
        home: Where the store lies.
        job: The job's id or full name; the newest job when missing.
        follow: Go on until the job ends.
        sleep: Waits between two looks.

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
        # The state is read before the lines: a job that had ended writes no more.
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
    """Ends the service; running jobs go on, and the next service finds them.

    Raises:
        LocalServiceError: It does not end.
    """
    if not services.stop(home):
        return f"local_vertex does not run (store: {home.vertex})"
    store = _store(home)
    running = len(store.live()) if store else 0
    jobs = "1 job goes" if running == 1 else f"{running} jobs go"
    return "local_vertex stopped" + (f"; {jobs} on, and the next start finds them" if running else "")


def parse_switches(settings: Sequence[str]) -> dict[str, Any]:
    """Switches from the command line: ["stock_out=1", "quotas=true"].

    Raises:
        LocalServiceError: Not of the form NAME=VALUE.
    """
    switches = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise LocalServiceError(f"{setting!r} is no switch", next_step="Write NAME=VALUE, as stock_out=1")
        try:
            switches[name] = json.loads(value)
        except ValueError:
            switches[name] = value
    return switches


def connection(service: LocalService) -> str:
    """How a client reaches the service, with the lines of Python that do it."""
    facts = {
        "process": service.pid,
        "project": f"{service.project} (number {service.project_number}), {service.region}",
        "bucket": f"gs://{service.bucket} is {service.buckets / service.bucket}",
        "socket": service.target,
        "gRPC": service.tcp_target,
        "REST": service.rest_url,
        "TLS": service.tls_target and f"{service.tls_target}, certificate {service.tls_certificate}",
        "token": service.token,
    }
    lines = [f"{name + ':':<9}{value}" for name, value in facts.items() if value]
    return "\n".join(["local_vertex runs", *lines, "", *_python(service)])


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


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _job_line(record: JobRecord) -> str:
    return f"{record.id}  {_moment(record.create_time or 0)}  {_short(record.state):<10} {record.display_name}"


def _log_line(entry: LogEntry) -> str:
    payload = entry.payload
    if isinstance(payload, dict):
        message = payload.get("message")
        payload = message if isinstance(message, str) else json.dumps(payload)
    return f"{_moment(entry.timestamp)}  {entry.task}  {payload}"
