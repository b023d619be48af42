"""Whether the project is there and has a billing account, and what its organization forbids."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .check_result import Finding
from .google_api import GoogleApi, Missing, NotMade
from .policies import PROJECTS
from .subject import Subject

_POLICIES = "orgpolicy.googleapis.com"
_VERTEX = "aiplatform.googleapis.com"
_GROUP = re.compile(r"in:([a-z]+-[a-z]+\d+|us|northamerica|southamerica|europe|eu|asia|australia|africa|me)-locations")
_NOT_IN_THE_EU = frozenset({"europe-west2", "europe-west6"})


def check_project(subject: Subject, api: GoogleApi) -> Iterator[Finding]:
    """It isn't being deleted."""
    name = f"project {subject.project}"
    state = str(api.get(PROJECTS, f"v3/projects/{subject.project}").get("state", "ACTIVE"))
    if state == "ACTIVE":
        yield Finding(name, "PASS", "active")
    else:
        yield Finding(name, "FAIL", f"is {state}", f"gcloud projects undelete {subject.project}")


def check_billing(subject: Subject, api: GoogleApi) -> Iterator[Finding]:
    """A billing account pays: https://cloud.google.com/billing/docs/reference/rest/v1/projects/getBillingInfo."""
    found = api.get("cloudbilling.googleapis.com", f"v1/projects/{subject.project}/billingInfo")
    if found.get("billingEnabled"):
        yield Finding("billing", "PASS", "enabled")
    else:
        fix = f"gcloud billing projects link {subject.project} --billing-account=ACCOUNT"
        yield Finding("billing", "FAIL", f"no billing account pays for {subject.project}", fix)


def check_location_policy(subject: Subject, api: GoogleApi) -> Iterator[Finding]:
    """The organization lets resources be in the job's region.

    https://cloud.google.com/resource-manager/docs/organization-policy/defining-locations
    """
    rules = _rules(subject, api, "gcp.resourceLocations")
    yield _policy_finding(
        subject, "gcp.resourceLocations", rules, _names_of_place(subject.region), f"resources in {subject.region}"
    )


def check_service_policy(subject: Subject, api: GoogleApi) -> Iterator[Finding]:
    """The organization lets Vertex AI be used.

    https://cloud.google.com/resource-manager/docs/organization-policy/restricting-resources
    """
    rules = _rules(subject, api, "gcp.restrictServiceUsage")
    yield _policy_finding(subject, "gcp.restrictServiceUsage", rules, {_VERTEX}, _VERTEX)


def check_key_policy(subject: Subject, api: GoogleApi) -> Iterator[Finding]:
    """Where the organization wants keys of its own, the job has one.

    https://cloud.google.com/kms/docs/cmek-org-policy
    """
    constraint = "gcp.restrictNonCmekServices"
    rules = _rules(subject, api, constraint)
    if subject.encryption_key or not _forbidden(rules, {_VERTEX}):
        yield Finding(constraint, "PASS", "lets the job be as it is")
        return
    fix = "Set encryption_key in the VertexAI block to projects/PROJECT/locations/REGION/keyRings/RING/cryptoKeys/KEY"
    yield Finding(
        constraint, "FAIL", "the organization wants a key of its own for Vertex AI, and the job has none", fix
    )


def _rules(subject: Subject, api: GoogleApi, constraint: str) -> list[Mapping[str, Any]]:
    """The rules of a constraint in effect; none where nobody has set it."""
    try:
        found = api.get(_POLICIES, f"v2/projects/{subject.project}/policies/{constraint}:getEffectivePolicy")
    except Missing:
        return []
    return list(found.get("spec", {}).get("rules", ()))


def _policy_finding(
    subject: Subject, constraint: str, rules: Iterable[Mapping[str, Any]], names: set[str], what: str
) -> Finding:
    if not _forbidden(rules, names):
        return Finding(constraint, "PASS", f"lets {what} be used")
    fix = f"gcloud org-policies describe {constraint} --effective --project={subject.project}"
    return Finding(constraint, "FAIL", f"the organization forbids {what}", f"{fix}, and ask its administrator")


def _forbidden(rules: Iterable[Mapping[str, Any]], names: set[str]) -> bool:
    """Whether rules deny one of the names that a value has, or allow others only.

    Raises:
        NotMade: That depends on a condition, or on a group of values that isn't known here.
    """
    rules = list(rules)
    if any(rule.get("condition") for rule in rules):
        raise NotMade("an organization policy has conditions, which are not read here")
    denied = {value for rule in rules for value in rule.get("values", {}).get("deniedValues", ())}
    allowed = {value for rule in rules for value in rule.get("values", {}).get("allowedValues", ())}
    if any(rule.get("denyAll") for rule in rules) or names & _plain(denied):
        return True
    if any(rule.get("allowAll") for rule in rules) or names & _plain(allowed):
        return False
    if strange := sorted(
        value for value in denied | allowed if value.startswith("in:") and not _GROUP.fullmatch(value)
    ):
        raise NotMade(f"an organization policy names {strange[0]}, a group that is not known here")
    return bool(allowed)


def _plain(values: Iterable[str]) -> set[str]:
    return {value.removeprefix("is:").removeprefix("in:") for value in values}


def _names_of_place(region: str) -> set[str]:
    """The names by which a policy may have a region: its own, and those of the groups of values that it belongs to."""
    part = region.partition("-")[0]
    groups = {part} | ({"northamerica"} if part == "us" else set())
    if part == "europe" and region not in _NOT_IN_THE_EU:
        groups.add("eu")
    return {region, *(f"{group}-locations" for group in (region, *groups))}
