"""Whether bucket, repository, TensorBoard, reservation and accelerator are in the right place, and can be used."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ...core.job_fields import RESERVATION
from .finding import Finding
from .google_api import GoogleApi, Missing
from .subject import Repository, Subject


def check_bucket(subject: Subject, api: GoogleApi) -> Iterator[Finding]:
    """It exists, in the job's region, and lets checkpoints be written again."""
    name = f"bucket gs://{subject.bucket}"
    try:
        bucket = api.get("storage.googleapis.com", f"storage/v1/b/{subject.bucket}")
    except Missing:
        place = f"--location={subject.region} --project={subject.project}"
        fix = f"gcloud storage buckets create gs://{subject.bucket} {place}"
        yield Finding(name, "FAIL", "doesn't exist", fix)
        return
    location = str(bucket.get("location", "")).lower()
    if location == subject.region:
        yield Finding(name, "PASS", f"in {location}")
    else:
        fix = f"gcloud storage buckets create gs://NAME --location={subject.region}, and name it in the VertexAI block"
        yield Finding(name, "FAIL", f"in {location}, and the job runs in {subject.region}", fix)
    if bucket.get("retentionPolicy"):
        fix = f"gcloud storage buckets update gs://{subject.bucket} --clear-retention-period, or name another bucket"
        yield Finding(name, "FAIL", "has a retention policy: a checkpoint can't be written again", fix)


def check_repository(subject: Subject, api: GoogleApi) -> Iterator[Finding]:
    """It exists, takes images, is near the job, and nothing deletes an image that is named by its digest."""
    repository = subject.repository
    if repository is None:
        return
    name = f"repository {repository.name}"
    try:
        found = api.get("artifactregistry.googleapis.com", f"v1/{repository.path}")
    except Missing:
        fix = f"gcloud artifacts repositories create {repository.options} --repository-format=docker"
        yield Finding(name, "FAIL", f"doesn't exist in {repository.location}", fix)
        return
    problems = list(_repository_problems(repository, found, subject))
    yield from (Finding(name, "FAIL", what, fix) for what, fix in problems)
    if not problems:
        yield Finding(name, "PASS", f"for images, in {repository.location}")


def _repository_problems(repository: Repository, found: dict[str, Any], subject: Subject) -> Iterator[tuple[str, str]]:
    new = f"gcloud artifacts repositories create NAME --location={subject.region} --repository-format=docker"
    if found.get("format", "DOCKER") != "DOCKER":
        yield f"holds {found['format']}, not images", new
    if found.get("mode", "STANDARD_REPOSITORY") != "STANDARD_REPOSITORY":
        yield f"is a {found['mode']}, to which nothing can be pushed", new
    if not near(repository.location, subject.region):
        yield f"in {repository.location}, far from {subject.region}: each start pulls the image over there", new
    deleting = [
        policy
        for policy in found.get("cleanupPolicies", {}).values()
        if policy.get("action") == "DELETE"
        and policy.get("condition", {}).get("tagState", "ANY") in {"ANY", "UNTAGGED"}
    ]
    if deleting and not found.get("cleanupPolicyDryRun"):
        delete = f"gcloud artifacts repositories delete-cleanup-policies {repository.options}"
        fix = f"{delete} --policynames={deleting[0].get('id', 'NAME')}"
        yield "a cleanup policy deletes images that have no tag, which a retry names by digest", fix


def near(location: str, region: str) -> bool:
    """Whether images of a location reach the region without leaving it, or its part of the world."""
    continent = {"us": ("us-", "northamerica-"), "europe": ("europe-",), "asia": ("asia-",)}.get(location)
    return location == region or (continent is not None and region.startswith(continent))


def check_tensorboard(subject: Subject, api: GoogleApi) -> Iterator[Finding]:
    """It exists."""
    if subject.tensorboard is None:
        return
    try:
        api.get(f"{subject.region}-aiplatform.googleapis.com", f"v1/{subject.tensorboard}")
    except Missing:
        place = f"--region={subject.region} --project={subject.project}"
        fix = f"gcloud ai tensorboards create --display-name=training {place}"
        yield Finding("TensorBoard", "FAIL", f"{subject.tensorboard} doesn't exist", fix)
        return
    yield Finding("TensorBoard", "PASS", "exists")


def check_offer(subject: Subject, api: GoogleApi) -> Iterator[Finding]:  # noqa: ARG001 - all checks have one signature
    """The region offers the accelerator to training jobs, and a reservation is in the region. No call is made."""
    if subject.job is None:
        return
    machine = subject.job.machine
    if (accelerator := machine.accelerator_type) and (regions := accelerator_regions().get(accelerator)):
        name = f"{accelerator} in {subject.region}"
        if subject.region in regions:
            yield Finding(name, "PASS", "offered for training")
        else:
            fix = f"Use one of its regions: {', '.join(sorted(regions))}"
            yield Finding(name, "FAIL", "not offered for training", fix)
    if machine.reservation and (found := re.fullmatch(RESERVATION.pattern, machine.reservation)):
        if found["region"] == subject.region:
            yield Finding("reservation", "PASS", f"in {subject.region}")
        else:
            what = f"in {found['region']}, and the job runs in {subject.region}"
            yield Finding(
                "reservation", "FAIL", what, f"Name one in {subject.region}, or run the job in {found['region']}"
            )


@cache
def accelerator_regions() -> dict[str, frozenset[str]]:
    """The regions that offer each accelerator for training, from a table with a date."""
    lines = Path(__file__).with_name("training_regions.csv").read_text(encoding="utf-8").splitlines()
    regions: dict[str, set[str]] = {}
    for row in csv.DictReader(line for line in lines if not line.startswith("#")):
        regions.setdefault(row["accelerator"], set()).add(row["region"])
    return {accelerator: frozenset(places) for accelerator, places in regions.items()}
