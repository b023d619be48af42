"""Whether the job's network is peered with Google's services, and its reservation has the machines.

Both are of Compute Engine: https://cloud.google.com/compute/docs/reference/rest/v1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .check_result import Finding
from .google_api import GoogleApi, Missing
from .subject import Subject

_HOST = "compute.googleapis.com"
_PEERING = "servicenetworking"


def check_network(subject: Subject, api: GoogleApi) -> Iterator[Finding]:
    """It exists, and is peered with Google's services: https://cloud.google.com/vertex-ai/docs/general/vpc-peering."""
    if subject.network is None:
        return
    _, project, *_, name = subject.network.split("/")
    check = f"network {name}"
    try:
        found = api.get(_HOST, f"compute/v1/{subject.network}")
    except Missing:
        fix = f"gcloud compute networks create {name} --project={project}, or name one that exists"
        yield Finding(check, "FAIL", f"doesn't exist in project {project}", fix)
        return
    peerings = [peering for peering in found.get("peerings", ()) if _PEERING in str(peering.get("name", ""))]
    states = {str(peering.get("state", "")) for peering in peerings}
    fix = (
        f"gcloud services vpc-peerings connect --service=servicenetworking.googleapis.com --network={name}"
        f" --ranges=RANGE --project={project}"
    )
    if "ACTIVE" in states:
        yield Finding(check, "PASS", "peered with Google's services")
    elif states:
        yield Finding(check, "FAIL", f"its peering with Google's services is {min(states)}", fix)
    else:
        yield Finding(check, "FAIL", "isn't peered with Google's services, so that no job can use it", fix)


def check_reservation(subject: Subject, api: GoogleApi) -> Iterator[Finding]:
    """It is in the job's region, may be used by Vertex AI, and has enough of the job's machines left.

    https://cloud.google.com/vertex-ai/docs/training/use-reservations
    """
    job = subject.job
    if job is None or not (reservation := job.machine.reservation):
        return
    _, project, _, zone, _, name = reservation.split("/")
    region, check = zone.rpartition("-")[0], f"reservation {name}"
    if region != subject.region:
        fix = f"Name one in {subject.region}, or run the job in {region}"
        yield Finding(check, "FAIL", f"in {region}, and the job runs in {subject.region}", fix)
        return
    place = f"--zone={zone} --project={project}"
    try:
        found = api.get(_HOST, f"compute/v1/{reservation}")
    except Missing:
        machine = f"--machine-type={job.machine.machine_type} --vm-count={job.replicas}"
        fix = f"gcloud compute reservations create {name} {place} {machine} --reservation-sharing-policy=ALLOW_ALL"
        yield Finding(check, "FAIL", f"doesn't exist in {zone}", fix)
        return
    problems = list(_reservation_problems(found, subject, f"{name} {place}"))
    yield from (Finding(check, "FAIL", what, fix) for what, fix in problems)
    if not problems:
        yield Finding(check, "PASS", f"in {zone}")


def _reservation_problems(found: dict[str, Any], subject: Subject, options: str) -> Iterator[tuple[str, str]]:
    assert subject.job is not None
    machine = subject.job.machine.machine_type
    update = f"gcloud compute reservations update {options}"
    if (status := found.get("status", "READY")) != "READY":
        yield f"is {status}", f"gcloud compute reservations describe {options}"
    if found.get("reservationSharingPolicy", {}).get("serviceShareType") != "ALLOW_ALL":
        yield "isn't shared with Vertex AI", f"{update} --reservation-sharing-policy=ALLOW_ALL"
    held = found.get("specificReservation", {})
    reserved = str(held.get("instanceProperties", {}).get("machineType", ""))
    if reserved and reserved != machine:
        fix = f'Set machine-type = "{reserved}" under [tool.vertex-training], or name another reservation'
        yield f"holds {reserved}, and the job asks for {machine}", fix
    count, used = int(held.get("count", 0)), int(held.get("inUseCount", 0))
    wanted = subject.job.replicas
    if held and count - used < wanted:
        what = f"{wanted} machine{'s' if wanted > 1 else ''} needed, {count - used} of {count} are free"
        yield what, f"{update} --vm-count={used + wanted}"
