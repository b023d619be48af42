"""Whether an account that isn't the caller has a right, by the policies of the resource and of all that is above it.

IAM answers for the caller alone, so the policies are read, as far as the caller may. A right may come from the
resource, its project, or a folder or the organization above; to the account itself, or to a group that nobody here can
look into. Only where all of them were read, and nothing of the kind stands there, the right is lacking. An account of
Google's own that no policy names may not exist yet: https://cloud.google.com/iam/docs/service-agents.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from .check_result import Finding
from .google_api import GoogleApi, Missing, NotMade

PROJECTS = "cloudresourcemanager.googleapis.com"
_POSTED = frozenset({PROJECTS, "iam.googleapis.com"})
"""These ask for a policy by POST, all others by GET."""
_SETS = ("group:", "domain:", "principalSet:")
_EVERYBODY = frozenset({"allUsers", "allAuthenticatedUsers"})
_ANY = frozenset({"roles/owner", "roles/editor"})

Place = tuple[str, str]
"""Host and path of a policy."""


def project_policy(project: str) -> Place:
    """Where a project's own policy is."""
    return PROJECTS, f"v3/projects/{project}:getIamPolicy"


def project_number(project: str, api: GoogleApi) -> str:
    """The project's number.

    Raises:
        NotMade: It can't be read.
    """
    name = str(api.get(PROJECTS, f"v3/projects/{project}").get("name", ""))
    if not name.startswith("projects/"):
        raise NotMade("the project's number is not in the answer")
    return name.removeprefix("projects/")


def service_agent(project: str, api: GoogleApi) -> str:
    """Vertex AI's service agent of a project, as an IAM member.

    Raises:
        NotMade: The project's number can't be read.
    """
    return f"serviceAccount:service-{project_number(project, api)}@gcp-sa-aiplatform.iam.gserviceaccount.com"


def access_finding(
    check: str, api: GoogleApi, member: str, roles: Collection[str], resource: Place, *, project: str, fix: str
) -> Finding:
    """Whether an account has one of some roles on a resource.

    Args:
        check: What is checked.
        api: Google's APIs.
        member: The account as an IAM member.
        roles: The roles of which one is enough.
        resource: Where the resource's own policy is.
        project: The project that the resource belongs to.
        fix: The command that gives the account a role.
    """
    unread: list[str] = []
    unclear, is_named = False, "@gcp-sa-" not in member
    for where, policy in _policies(api, resource, project, unread):
        is_named = is_named or any(member in rule.get("members", ()) for rule in policy.get("bindings", ()))
        own, others = _roles_in(policy, member, {*roles, *_ANY})
        if own:
            return Finding(check, "PASS", f"{member} has {min(own)} by the policy of {where}")
        unclear = unclear or others
    named = f"no policy gives {member} {' or '.join(sorted(roles)[:2])}"
    if unread:
        return Finding(check, "UNKNOWN", f"{named}; that of {' and '.join(unread)} could not be read", fix)
    if unclear:
        return Finding(check, "UNKNOWN", f"{named}; a group, a condition or a role of your own may", fix)
    if not is_named:
        return Finding(check, "UNKNOWN", f"{named}; Google makes that account with the first job, and its roles", fix)
    return Finding(check, "FAIL", named, fix)


def _policies(
    api: GoogleApi, resource: Place, project: str, unread: list[str]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Policies from the resource up, each with where it is; adds to `unread` what can't be read."""
    of_project = project_policy(project)
    if resource != of_project:
        yield from _read("the resource itself", api, resource, unread)
    yield from _read(f"project {project}", api, of_project, unread)
    try:
        answer = api.post(PROJECTS, f"v1/projects/{project}:getAncestry", {})
    except (NotMade, Missing):
        unread.append("what is above it")
        return
    for above in answer.get("ancestor", ()):
        kind, name = above.get("resourceId", {}).get("type", ""), above.get("resourceId", {}).get("id", "")
        if kind in {"folder", "organization"}:
            path = f"v3/{kind}s/{name}:getIamPolicy"
            yield from _read(f"{kind} {name}", api, (PROJECTS, path), unread)


def _read(where: str, api: GoogleApi, place: Place, unread: list[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    host, path = place
    try:
        yield where, api.post(host, path, {}) if host in _POSTED else api.get(host, path)
    except (NotMade, Missing):
        unread.append(where)


def _roles_in(policy: Mapping[str, Any], member: str, roles: Collection[str]) -> tuple[set[str], bool]:
    """The roles that a policy gives to an account; and whether something that can't be read here may give them."""
    own: set[str] = set()
    unclear = False
    for rule in policy.get("bindings", ()):
        role, members = str(rule.get("role")), set(rule.get("members", ()))
        named = bool(members & {member, *_EVERYBODY})
        if role in roles and named and not rule.get("condition"):
            own.add(role)
        elif role in roles:
            unclear = unclear or named or any(who.startswith(_SETS) for who in members)
        elif named and not role.startswith("roles/"):  # a role that somebody defined
            unclear = True
    return own, unclear
