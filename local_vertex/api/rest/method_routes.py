"""Which method an HTTP verb and a path call, and what a path that none serves is answered."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ..dispatcher import Method
from ..status import ApiError, Code, unimplemented

_VERSIONS = r"/(?P<api_version>v1beta1|v1|ui)/"

# Collections of the real API (https://cloud.google.com/vertex-ai/docs/reference/rest); of those that are served only
# the verbs in the table of methods exist there.
_SERVED = "customJobs|hyperparameterTuningJobs|trainingPipelines|persistentResources|operations"
_KNOWN = (
    "artifacts|batchPredictionJobs|cachedContents|customJobs|dataLabelingJobs|datasets|deploymentResourcePools|endpoints"
    "|evaluationRuns|exampleStores|extensions|featureGroups|featureOnlineStores|featurestores|hyperparameterTuningJobs"
    "|indexEndpoints|indexes|metadataStores|migratableResources|modelDeploymentMonitoringJobs|models|nasJobs"
    "|notebookExecutionJobs|notebookRuntimeTemplates|notebookRuntimes|persistentResources|pipelineJobs|publishers"
    "|ragCorpora|ragEngineConfig|reasoningEngines|schedules|solvers|specialistPools|studies|tensorboards"
    "|trainingPipelines|tuningJobs"
)
_OTHERS = re.compile(
    rf"/v1(?:beta1)?/projects/[^/]+/locations/[^/:]+(?:/(?!(?:{_SERVED})(?:[/:]|$))(?:{_KNOWN})\b.*|:.+)"
)
_OF_SERVED = re.compile(
    r"/v1(?:beta1)?/projects/[^/]+/locations/[^/]+/persistentResources/[^/:]+(?::reboot)?|/v1(?:beta1)?/media/.*"
)
_LOGGING = re.compile(
    r"/v2/(?:entries:.+|(?:projects|organizations|folders|billingAccounts)/[^/]+/.+|monitoredResourceDescriptors)"
)


class Route(NamedTuple):
    """A method, the request's fields that the path holds, and the version of the API in it."""

    method: Method
    fields: dict[str, str]
    version: str


class Routes:
    """Finds methods by verb and path.

    Args:
        methods: The methods that are served.
    """

    def __init__(self, methods: Sequence[Method]) -> None:
        self._routes = [(_pattern(method.http[1]), method) for method in methods]

    def find(self, verb: str, path: str) -> Route:
        """The method that a request calls.

        Args:
            verb: For example "GET".
            path: Decoded, without a query.

        Raises:
            ApiError: UNIMPLEMENTED for a method of Google's that isn't served, NOT_FOUND for what is none of its.
        """
        for pattern, method in self._routes:
            match = pattern.fullmatch(path) if method.http[0] == verb else None
            if match is not None:
                fields = match.groupdict()
                version = fields.pop("api_version", "v1")
                return Route(method, fields, "v1" if version == "ui" else version)
        if _OTHERS.fullmatch(path) or _OF_SERVED.fullmatch(path) or _LOGGING.fullmatch(path):
            raise unimplemented(f"{verb} {path}")
        raise ApiError(Code.NOT_FOUND, f"No method is served at {verb} {path}")


def _pattern(template: str) -> re.Pattern[str]:
    """The regular expression for a path template, for example "/v1/{name=projects/*}:cancel"."""

    def variable(match: re.Match[str]) -> str:
        # A slash before `**` may be missing, too: then it stands for no segment.
        inner = match[2].replace("/**", "(?:/[^/:]+)<any>").replace("*", "[^/:]+").replace("<any>", "*")
        return f"(?P<{match[1]}>{inner})"

    expression = re.sub(r"\{(\w+)=([^}]+)\}", variable, template)
    if expression.startswith("/v1/"):
        expression = _VERSIONS + expression.removeprefix("/v1/")
    return re.compile(expression)
