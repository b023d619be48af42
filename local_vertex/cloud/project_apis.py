"""Google's APIs about a project, over REST: enabled services, IAM, Artifact Registry, quotas, and prices.

They answer what a check of a project asks, and change what gcloud's commands change. The account of this machine has
every right but those that a fault takes away. Sources: serviceusage v1, cloudresourcemanager v1 and v3, iam v1,
artifactregistry v1, cloudquotas v1, cloudbilling v1 under https://cloud.google.com/docs.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from ...core.job_fields import DISK_TYPES
from ...core.quota_names import training_quotas
from ...core.security.parsed_text import parse_json
from ..faults import Faults
from ..location import Locations, project_number
from . import billing_skus
from .identity import Answer, error_answer, json_answer
from .project_resources import ProjectResources
from .surroundings import QUESTIONS, first_policy

_DEFAULT_LIMIT = 1000
_DEFAULT_DISK = 75_000
"""Gigabytes."""

_DISKS = frozenset(kind.replace("-", "_") for kind in DISK_TYPES)
_PAGE = 500
_DOMAIN = ".googleapis.com"
_ETAG = "BwYLocal"


class Call(NamedTuple):
    """A request: the parts of its path, its query, and the JSON of its body."""

    found: re.Match[str]
    query: Mapping[str, list[str]]
    body: Mapping[str, Any]

    def one(self, name: str) -> str:
        """The first value of a parameter; empty without one."""
        return self.query.get(name, [""])[0]


class ProjectApis:
    """Answers requests.

    Args:
        resources: What is kept.
        faults: What is disabled, denied, forbidden, limited or slow.
        locations: The projects and regions of the service.
    """

    def __init__(self, resources: ProjectResources, faults: Faults, locations: Locations) -> None:
        self._resources = resources
        self._faults = faults
        self._locations = locations
        self._routes = [(re.compile(pattern), answer) for pattern, answer in self._table().items()]

    def answer(self, method: str, host: str, path: str, body: bytes) -> Answer | None:
        """The answer to a request; None for a call that is not one of these.

        Args:
            method: For example "POST".
            host: For example "iam.googleapis.com".
            path: Path and query.
            body: The request's body.
        """
        url = urlsplit(path)
        name = host.partition(":")[0].lower()
        asked = f"{method} {name.removesuffix(_DOMAIN)}{unquote(url.path)}"
        replaced = self._replaced(asked)
        if replaced is not None:
            return replaced
        for pattern, answer in self._routes:
            if found := pattern.fullmatch(asked):
                return self._answer(name, answer, found, url.query, body)
        return None

    def _replaced(self, asked: str) -> Answer | None:
        """What the switch `api_answers` says of a question, by API and path."""
        answers = parse_json(self._faults.api_answers or "{}")
        path = asked.partition(" ")[2]
        if path not in answers:
            return None
        time.sleep(self._faults.api_delay_seconds)
        return _missing("Requested entity was not found.") if answers[path] is None else json_answer(answers[path])

    def _answer(
        self, host: str, answer: Callable[[Call], Answer], found: re.Match[str], query: str, body: bytes
    ) -> Answer:
        time.sleep(self._faults.api_delay_seconds)
        if host in _listed(self._faults.forbidden_apis, _DOMAIN):
            return error_answer(403, "PERMISSION_DENIED", "The caller does not have permission")
        project = found.groupdict().get("project")
        if project not in {None, "-"} and self._locations.project(str(project)) is None:
            return error_answer(403, "PERMISSION_DENIED", f"Permission denied on resource project {project}.")
        try:
            document = parse_json(body or b"{}")
        except ValueError:
            document = None
        if not isinstance(document, dict):
            return error_answer(400, "INVALID_ARGUMENT", "Invalid JSON payload received.")
        return answer(Call(found, parse_qs(query), document))

    def _table(self) -> dict[str, Callable[[Call], Answer]]:
        project = r"projects/(?P<project>[^/:]+)"
        service = rf"serviceusage/v1/(?P<name>{project}/services/(?P<service>[^/:]+))"
        places = "locations/[^/]+/repositories"
        repositories = rf"artifactregistry/v1/(?P<parent>{project}/{places})"
        policy_of = {
            rf"cloudresourcemanager/v[13]/(?P<resource>{project})": lambda _: True,
            rf"artifactregistry/v1/(?P<resource>{project}/{places}/[^/:]+)": self._repository_exists,
            rf"iam/v1/{project}/serviceAccounts/(?P<resource>[^/:]+)": self._account_exists,
        }
        quotas = rf"cloudquotas/v1/{project}/locations/global"
        table: dict[str, Callable[[Call], Answer]] = {
            rf"GET serviceusage/v1/{project}/services:batchGet": self._services,
            rf"GET serviceusage/v1/{project}/services": self._enabled_services,
            rf"POST serviceusage/v1/{project}/services:batchEnable": self._enable_all,
            f"GET {service}": self._service,
            f"POST {service}:(?P<verb>enable|disable)": self._switch_service,
            f"GET {repositories}": self._repositories,
            f"POST {repositories}": self._create_repository,
            f"GET {repositories}/(?P<id>[^/:]+)": self._repository,
            f"PATCH {repositories}/(?P<id>[^/:]+)": self._change_repository,
            f"DELETE {repositories}/(?P<id>[^/:]+)": self._delete_repository,
            rf"GET artifactregistry/v1/{project}/locations/[^/]+/operations/[^/]+": self._operation,
            r"GET serviceusage/v1/operations/[^/]+": self._operation,
            rf"POST iam/v1/{project}/serviceAccounts": self._create_account,
            rf"GET iam/v1/{project}/serviceAccounts/(?P<resource>[^/:]+)": self._account,
            rf"GET {quotas}/services/aiplatform\.googleapis\.com/quotaInfos": self._quotas,
            rf"(POST|PATCH) {quotas}/quotaPreferences(/[^/:]+)?": self._prefer_quota,
            r"GET cloudbilling/v1/services/(?P<service>[^/]+)/skus": self._skus,
        }
        table |= {question: self._surrounding(answer) for question, answer in QUESTIONS.items()}
        for resource, exists in policy_of.items():
            table[rf"(GET|POST) {resource}:getIamPolicy"] = _where(exists, self._policy)
            table[rf"POST {resource}:setIamPolicy"] = _where(exists, self._set_policy)
            table[rf"POST {resource}:testIamPermissions"] = _where(exists, self._permissions)
        return table

    def _surrounding(self, answer: Callable[[re.Match[str], str], Mapping[str, Any]]) -> Callable[[Call], Answer]:
        return lambda call: json_answer(answer(call.found, self._number(call.found["project"])))

    # Services

    def _state(self, project: str, service: str) -> dict[str, Any]:
        number = self._number(project)
        off = self._resources.get("disabled", f"{self._locations.project(project)}/{service}") is not None
        off = off or service in _listed(self._faults.disabled_services, _DOMAIN)
        name = f"projects/{number}/services/{service}"
        return {
            "name": name,
            "config": {"name": service},
            "state": "DISABLED" if off else "ENABLED",
            "parent": f"projects/{number}",
        }

    def _service(self, call: Call) -> Answer:
        return json_answer(self._state(call.found["project"], call.found["service"]))

    def _services(self, call: Call) -> Answer:
        names = [name.rpartition("/")[2] for name in call.query.get("names", ())]
        return json_answer({"services": [self._state(call.found["project"], name) for name in names]})

    def _enabled_services(self, call: Call) -> Answer:
        known = ("aiplatform", "artifactregistry", "cloudbilling", "cloudquotas", "iam", "logging", "storage")
        found = [self._state(call.found["project"], f"{name}{_DOMAIN}") for name in known]
        wanted = "DISABLED" if "DISABLED" in call.one("filter") else "ENABLED"
        return json_answer({"services": [service for service in found if service["state"] == wanted]})

    def _switch_service(self, call: Call) -> Answer:
        project, service = call.found["project"], call.found["service"]
        value = None if call.found["verb"] == "enable" else {"service": service}
        self._resources.put("disabled", f"{self._locations.project(project)}/{service}", value)
        return _done("operations/acf.local", {"service": self._state(project, service)})

    def _enable_all(self, call: Call) -> Answer:
        project, ids = call.found["project"], call.body.get("serviceIds", ())
        for service in ids:
            self._resources.put("disabled", f"{self._locations.project(project)}/{service}", None)
        return _done("operations/acf.local", {"services": [self._state(project, service) for service in ids]})

    def _operation(self, _: Call) -> Answer:
        return _done("operations/acf.local", {})

    # IAM

    def _policy(self, call: Call) -> Answer:
        name = self._resource(call)
        found = self._resources.get("policies", name)
        if found is None and name.count("/") == 1 and name.startswith("projects/"):
            found = dict(first_policy(self._number(call.found["project"])))
        return json_answer({"version": 1, "etag": _ETAG, **(found or {})})

    def _set_policy(self, call: Call) -> Answer:
        policy = {"version": 1, **dict(call.body.get("policy", {})), "etag": _ETAG}
        self._resources.put("policies", self._resource(call), policy)
        return json_answer(policy)

    def _permissions(self, call: Call) -> Answer:
        denied = _listed(self._faults.denied_permissions)
        held = [name for name in call.body.get("permissions", ()) if name not in denied]
        return json_answer({"permissions": held} if held else {})

    def _resource(self, call: Call) -> str:
        return self._named(call.found["resource"])

    def _account_exists(self, call: Call) -> bool:
        email = call.found["resource"]
        return email.endswith("-compute@developer.gserviceaccount.com") or (
            self._resources.get("accounts", email) is not None
        )

    def _account(self, call: Call) -> Answer:
        email = call.found["resource"]
        return json_answer({"email": email}) if self._account_exists(call) else _missing(f"Unknown account {email}")

    def _create_account(self, call: Call) -> Answer:
        project = self._locations.project(call.found["project"])
        email = f"{call.body.get('accountId', '')}@{project}.iam.gserviceaccount.com"
        if self._resources.get("accounts", email) is not None:
            return error_answer(409, "ALREADY_EXISTS", f"Service account {email} already exists.")
        account = {"name": f"projects/{project}/serviceAccounts/{email}", "email": email, "projectId": project}
        self._resources.put("accounts", email, account)
        return json_answer(account)

    # Artifact Registry

    def _repository_exists(self, call: Call) -> bool:
        return self._resources.get("repositories", self._resource(call)) is not None

    def _repositories(self, call: Call) -> Answer:
        found = self._resources.find("repositories", f"{self._named(call.found['parent'])}/")
        return json_answer({"repositories": list(found.values())})

    def _repository(self, call: Call) -> Answer:
        found = self._resources.get("repositories", self._repository_name(call))
        return json_answer(found) if found is not None else _missing("Requested entity was not found.")

    def _create_repository(self, call: Call) -> Answer:
        name = f"{self._named(call.found['parent'])}/{call.one('repositoryId')}"
        if not call.one("repositoryId"):
            return error_answer(400, "INVALID_ARGUMENT", "repository_id is required")
        if self._resources.get("repositories", name) is not None:
            return error_answer(409, "ALREADY_EXISTS", "the repository already exists")
        defaults = {"format": "DOCKER", "mode": "STANDARD_REPOSITORY"}
        said = {key: value for key, value in call.body.items() if value != f"{key.upper()}_UNSPECIFIED"}
        found = {**defaults, **said, "name": name}
        self._resources.put("repositories", name, found)
        return _done(f"{name.rpartition('/repositories/')[0]}/operations/local", found)

    def _change_repository(self, call: Call) -> Answer:
        name = self._repository_name(call)
        found = self._resources.get("repositories", name)
        if found is None:
            return _missing("Requested entity was not found.")
        wanted = {key: value for key, value in call.body.items() if key != "name"}
        cleared = {_camel(field) for field in call.one("updateMask").split(",") if field} - wanted.keys()
        changed = {key: value for key, value in {**found, **wanted}.items() if key not in cleared}
        self._resources.put("repositories", name, changed)
        return json_answer(changed)

    def _delete_repository(self, call: Call) -> Answer:
        name = self._repository_name(call)
        if self._resources.get("repositories", name) is None:
            return _missing("Requested entity was not found.")
        self._resources.put("repositories", name, None)
        return _done(f"{name.rpartition('/repositories/')[0]}/operations/local", {})

    def _repository_name(self, call: Call) -> str:
        return f"{self._named(call.found['parent'])}/{call.found['id']}"

    # Quotas and prices

    def _quotas(self, call: Call) -> Answer:
        begin = int(call.one("pageToken") or 0)
        size = min(int(call.one("pageSize") or _PAGE), _PAGE)
        metrics = training_quotas()
        infos = [self._quota(call.found["project"], metric) for metric in metrics[begin : begin + size]]
        more = {"nextPageToken": str(begin + size)} if begin + size < len(metrics) else {}
        return json_answer({"quotaInfos": infos, **more})

    def _quota(self, project: str, metric: str) -> dict[str, Any]:
        """A quota's limits, from the special to the general, as the service orders them."""
        kept = self._resources.find("quotas", f"{self._locations.project(project)}/{_quota_id(metric)}/")
        limits = {name.rpartition("/")[2]: str(value["value"]) for name, value in kept.items()}
        for region in self._locations.regions:
            if (limit := _limits(self._faults.value("quota_limits", region)).get(metric)) is not None:
                limits[region] = limit
        entries = [
            {"dimensions": {"region": region}, "details": {"value": value}, "applicableLocations": [region]}
            for region, value in limits.items()
        ]
        others = [region for region in self._locations.regions if region not in limits]
        general = _DEFAULT_DISK if metric.removeprefix("custom_model_training_") in _DISKS else _DEFAULT_LIMIT
        entries.append({"details": {"value": str(general)}, "applicableLocations": others})
        service = f"aiplatform{_DOMAIN}"
        quota = _quota_id(metric)
        return {
            "name": f"projects/{self._number(project)}/locations/global/services/{service}/quotaInfos/{quota}",
            "quotaId": quota,
            "metric": f"{service}/{metric}",
            "service": service,
            "containerType": "PROJECT",
            "dimensions": ["region"],
            "dimensionsInfos": entries,
        }

    def _prefer_quota(self, call: Call) -> Answer:
        """Google's people decide on such a wish; here it is granted at once."""
        quota, region = str(call.body.get("quotaId", "")), call.body.get("dimensions", {}).get("region", "")
        value = str(call.body.get("quotaConfig", {}).get("preferredValue", ""))
        if not quota or not region or not value.lstrip("-").isdecimal():
            return error_answer(400, "INVALID_ARGUMENT", "quotaId, dimensions and quotaConfig are required")
        name = f"{self._locations.project(call.found['project'])}/{quota}/{region}"
        self._resources.put("quotas", name, {"value": int(value)})
        return json_answer({**call.body, "quotaConfig": {"preferredValue": value, "grantedValue": value}})

    def _skus(self, call: Call) -> Answer:
        known = call.found["service"] == billing_skus.COMPUTE_ENGINE
        return json_answer({"skus": billing_skus.skus(self._locations.regions) if known else []})

    # Names

    def _number(self, project: str) -> str:
        found = self._locations.project(project) or project
        return self._locations.projects.get(found) or project_number(found)

    def _named(self, name: str) -> str:
        """A name with the project's id, where the caller wrote its number."""
        kind, slash, rest = name.partition("/")
        project, cut, more = rest.partition("/")
        return f"{kind}{slash}{self._locations.project(project) or project}{cut}{more}" if kind == "projects" else name


def _where(exists: Callable[[Call], bool], answer: Callable[[Call], Answer]) -> Callable[[Call], Answer]:
    """Answers only for a resource that exists."""
    return lambda call: answer(call) if exists(call) else _missing("Requested entity was not found.")


def _missing(text: str) -> Answer:
    return error_answer(404, "NOT_FOUND", text)


def _done(operation: str, response: Mapping[str, Any]) -> Answer:
    return json_answer({"name": operation, "done": True, "response": {"@type": "type.googleapis.com/x", **response}})


def _listed(text: str, ending: str = "") -> set[str]:
    """The names in a setting, each with its ending."""
    return {f"{name.strip().removesuffix(ending)}{ending}" for name in text.split(",") if name.strip()}


def _limits(text: str) -> dict[str, str]:
    """The limits in a setting, as "custom_model_training_cpus=20,custom_model_training_nvidia_t4_gpus=0"."""
    return {
        name.strip(): value.strip()
        for name, equals, value in (part.partition("=") for part in text.split(","))
        if equals
    }


def _quota_id(metric: str) -> str:
    """As "CustomModelTrainingNvidiaT4GpusPerProjectPerRegion"."""
    return "".join(word.capitalize() for word in metric.split("_")) + "PerProjectPerRegion"


def _camel(field: str) -> str:
    first, *rest = field.split("_")
    return first + "".join(word.capitalize() for word in rest)
