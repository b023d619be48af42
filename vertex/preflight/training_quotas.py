"""Whether the project's training quota holds this job beside the jobs that run already.

Compute Engine's quotas don't count: training has its own, for each project and region. SPOT and FLEX_START use quotas
of their own, called preemptible, for accelerators and for CPUs. https://cloud.google.com/vertex-ai/docs/quotas#training
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from ...core.job_options import Machine
from ...core.machine_types import MACHINE_SHAPES, default_disk
from ...core.quota_names import accelerator_quota, cpu_quota, disk_quota, restricted_quota
from ..job_types import JobDescription
from .check_result import Finding
from .google_api import GoogleApi, NotMade
from .subject import Subject

_HOST = "cloudquotas.googleapis.com"
_METRIC = "aiplatform.googleapis.com/"
_RUNNING = 'state="JOB_STATE_RUNNING" OR state="JOB_STATE_PENDING" OR state="JOB_STATE_QUEUED"'


def jobs_at_once(job: JobDescription, count: int) -> JobDescription:
    """A job with the machines of so many of this one, for the check of the quota."""
    pools = {role: replace(pool, replicas=pool.replicas * count) for role, pool in job.pools.items()}
    return replace(job, replicas=job.replicas * count, pools=pools)


def needed(job: JobDescription, *, restricted_image: bool = False) -> Counter[str]:
    """The quotas that a job needs, by metric without its prefix.

    Args:
        job: The job.
        restricted_image: Whether its image is one of those that Google restricts.
    """
    wanted: Counter[str] = Counter()
    if job.persistent_resource:  # its machines are counted already
        return wanted
    machines = [
        (job.machine, job.replicas),
        *((pool.machine or job.machine, pool.replicas) for pool in job.pools.values()),
    ]
    for machine, replicas in machines:
        preemptible = job.strategy != "STANDARD"
        for metric, amount in _of_machine(machine, preemptible=preemptible, restricted=restricted_image):
            wanted[metric] += amount * replicas
    return wanted


def _of_machine(machine: Machine, *, preemptible: bool, restricted: bool = False) -> Iterator[tuple[str, int]]:
    if machine.accelerator_type:
        metric = restricted_quota(machine.accelerator_type) if restricted else None
        metric = metric or accelerator_quota(machine.accelerator_type, preemptible=preemptible)
        yield metric, machine.accelerator_count
    shape = MACHINE_SHAPES.get(machine.machine_type)
    if shape and shape.vcpus:
        yield cpu_quota(machine.machine_type, preemptible=preemptible), shape.vcpus
    yield disk_quota(machine.boot_disk_type or default_disk(machine.machine_type)), machine.boot_disk_gb


def check_quotas(subject: Subject, api: GoogleApi) -> Iterator[Finding]:
    """One finding for each quota that the job needs."""
    if subject.job is None:
        return
    wanted = needed(subject.job, restricted_image=subject.restricted_image)
    with ThreadPoolExecutor(1, thread_name_prefix="preflight") as pool:
        using = pool.submit(_used, subject, api)
        limits = _limits(subject, api, wanted)
        used = using.result()
    for metric, amount in wanted.items():
        yield _finding(subject, metric, amount, limits.get(metric), used)


def _limits(subject: Subject, api: GoogleApi, wanted: Iterable[str]) -> dict[str, tuple[int, str]]:
    """Limit and id of each quota, in the job's region."""
    found: dict[str, tuple[int, str]] = {}
    token = ""
    names = set(wanted)
    while True:
        path = f"v1/projects/{subject.project}/locations/global/services/aiplatform.googleapis.com/quotaInfos"
        answer = api.get(_HOST, path, {"pageSize": "500", **({"pageToken": token} if token else {})})
        for info in answer.get("quotaInfos", ()):
            metric = str(info.get("metric", "")).removeprefix(_METRIC)
            limit = _limit_in(info, subject.region) if metric in names else None
            if limit is not None:
                found[metric] = (limit, str(info.get("quotaId", "")))
        token = str(answer.get("nextPageToken") or "")
        if not token:
            return found


def _limit_in(info: Mapping[str, Any], region: str) -> int | None:
    """The limit of the first entry that holds in the region: they are ordered from the special to the general."""
    for entry in info.get("dimensionsInfos", ()):
        place = entry.get("dimensions", {}).get("region")
        if place == region or (place is None and region in entry.get("applicableLocations", [region])):
            return int(entry.get("details", {}).get("value", 0))
    return None


def _used(subject: Subject, api: GoogleApi) -> Counter[str] | None:
    """What running and waiting jobs use; None if they can't be listed."""
    host, parent = (
        f"{subject.region}-aiplatform.googleapis.com",
        f"projects/{subject.project}/locations/{subject.region}",
    )
    used: Counter[str] = Counter()
    try:
        answer = api.get(host, f"v1/{parent}/customJobs", {"filter": _RUNNING, "pageSize": "100"})
    except NotMade:
        return None
    for job in answer.get("customJobs", ()):
        spec = job.get("jobSpec", {})
        preemptible = spec.get("scheduling", {}).get("strategy") in {"SPOT", "FLEX_START"}
        for pool in spec.get("workerPoolSpecs", ()):
            machine, disk = pool.get("machineSpec", {}), pool.get("diskSpec", {})
            described = Machine(
                str(machine.get("machineType", "")),
                machine.get("acceleratorType"),
                int(machine.get("acceleratorCount", 0)),
                int(disk.get("bootDiskSizeGb", 100)),
                disk.get("bootDiskType"),
            )
            for metric, amount in _of_machine(described, preemptible=preemptible):
                used[metric] += amount * int(pool.get("replicaCount", 1))
    return used


def _finding(
    subject: Subject, metric: str, amount: int, limit: tuple[int, str] | None, used: Counter[str] | None
) -> Finding:
    check = f"quota {metric}"
    if limit is None:
        return Finding(check, "UNKNOWN", f"no such quota is listed for {subject.region}")
    value, quota = limit
    taken = used[metric] if used is not None else 0
    beside = f" beside {taken} in use" if taken else ""
    if value < 0:
        return Finding(check, "PASS", f"{amount} needed, no limit in {subject.region}")
    if amount + taken <= value:
        unknown = "" if used is not None else "; what is in use could not be read"
        return Finding(check, "PASS", f"{amount} needed{beside}, {value} allowed in {subject.region}{unknown}")
    fix = (
        f"gcloud beta quotas preferences create --project={subject.project} --service=aiplatform.googleapis.com"
        f" --quota-id={quota} --preferred-value={amount + taken} --dimensions=region={subject.region}"
    )
    return Finding(check, "FAIL", f"{amount} needed{beside}, {value} allowed in {subject.region}", fix)
