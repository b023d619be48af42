"""Whether bucket, repository and accelerator are in the right place, and can be used."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from .check_result import Finding
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
    update = f"gcloud storage buckets update gs://{subject.bucket}"
    yield from (Finding(name, "FAIL", what, f"{update} {option}") for what, option in _bucket_locks(bucket))


def _bucket_locks(bucket: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What keeps a job from writing, and the option that takes it away."""
    if bucket.get("retentionPolicy"):
        another = ", or name another bucket"
        yield "has a retention policy: a checkpoint can't be written again", f"--clear-retention-period{another}"
    if bucket.get("defaultEventBasedHold"):
        yield "holds each new object: a checkpoint can't be written again", "--no-default-event-based-hold"
    if bucket.get("billing", {}).get("requesterPays"):
        yield "lets the requester pay, which a job can't", "--no-requester-pays"


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
    if problems:
        return
    if found.get("dockerConfig", {}).get("immutableTags"):
        fix = f"gcloud artifacts repositories update {repository.options} --no-immutable-tags"
        yield Finding(name, "PASS", "for images; its tags are immutable, and stay at their first image", fix)
    else:
        yield Finding(name, "PASS", f"for images, in {repository.location}")


def _repository_problems(repository: Repository, found: dict[str, Any], subject: Subject) -> Iterator[tuple[str, str]]:
    new = f"gcloud artifacts repositories create NAME --location={subject.region} --repository-format=docker"
    if found.get("format", "DOCKER") != "DOCKER":
        yield f"holds {found['format']}, not images", new
    if found.get("mode", "STANDARD_REPOSITORY") != "STANDARD_REPOSITORY":
        yield f"is a {found['mode']}, to which nothing can be pushed", new
    if not near(repository.location, subject.region):
        yield f"in {repository.location}, far from {subject.region}: each start pulls the image over there", new
    yield from _deleting(repository, found)


def _deleting(repository: Repository, found: dict[str, Any]) -> Iterator[tuple[str, str]]:
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


def check_offer(subject: Subject, api: GoogleApi) -> Iterator[Finding]:  # noqa: ARG001 - all checks have one signature
    """The region offers the accelerator to training jobs. No call is made."""
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


@cache
def accelerator_regions() -> dict[str, frozenset[str]]:
    """The regions that offer each accelerator for training, from a table with a date."""
    lines = Path(__file__).with_name("training_regions.csv").read_text(encoding="utf-8").splitlines()
    regions: dict[str, set[str]] = {}
    for row in csv.DictReader(line for line in lines if not line.startswith("#")):
        regions.setdefault(row["accelerator"], set()).add(row["region"])
    return {accelerator: frozenset(places) for accelerator, places in regions.items()}
