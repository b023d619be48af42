"""The table of all methods, and what happens around every call, over gRPC and REST."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ...core.errors import TrainingError
from ..faults import Faults
from ..location import Locations
from .fields import ranges
from .names import Caller, place_of
from .quotas import Quotas
from .schema import Generated
from .status import ApiError, Code

if TYPE_CHECKING:
    from .collections.listed_locations import LocationsApi
    from .collections.operations import OperationsApi
    from .collections.persistent_resources import PersistentResourcesApi
    from .collections.registered_models import RegisteredModelsApi
    from .collections.training_pipelines import TrainingPipelinesApi
    from .collections.tuning_jobs import TuningJobsApi
    from .collections.written_entries import WrittenEntriesApi
    from .jobs import JobsApi
    from .logs import LogsApi

V1 = "google.cloud.aiplatform.v1"
JOBS = f"{V1}.JobService"
PIPELINES = f"{V1}.PipelineService"
PERSISTENT = f"{V1}.PersistentResourceService"
MODELS = f"{V1}.ModelService"
OPERATIONS = "google.longrunning.Operations"
LOCATIONS = "google.cloud.location.Locations"
LOGGING = "google.logging.v2.LoggingServiceV2"


class Method(NamedTuple):
    """A method with one request and one response.

    Attributes:
        service: Full name of its service.
        name: For example "CreateCustomJob".
        request: Full name of the request message.
        handler: Takes a request message and the caller; returns a response message or raises `ApiError`.
        quota: The quota that a call counts against; empty for none.
        http: HTTP verb and path template (https://google.aip.dev/127); `*` matches one segment of a path, `**` several.
        body: The request field in the HTTP body; "*" for the whole request, empty without a body.
    """

    service: str
    name: str
    request: str
    handler: Callable[[Any, Caller], Any]
    quota: str
    http: tuple[str, str]
    body: str = ""


class Apis(NamedTuple):
    """What implements the methods."""

    jobs: JobsApi
    tuning: TuningJobsApi
    pipelines: TrainingPipelinesApi
    persistent: PersistentResourcesApi
    models: RegisteredModelsApi
    operations: OperationsApi
    locations: LocationsApi
    logs: LogsApi
    written: WrittenEntriesApi


def methods(apis: Apis) -> Sequence[Method]:
    """All methods with one response; TailLogEntries, which streams, is served by `GrpcServer`."""
    return (
        *_jobs(apis.jobs),
        *_tuning(apis.tuning),
        *_pipelines(apis.pipelines),
        *_persistent(apis.persistent),
        *_models(apis.models),
        *_shared(apis),
        *_logs(apis),
    )


_LOCATION = "projects/*/locations/*"
_PARENT = f"/v1/{{parent={_LOCATION}}}"


def _jobs(jobs: JobsApi) -> Sequence[Method]:
    many, one = f"{_PARENT}/customJobs", f"/v1/{{name={_LOCATION}/customJobs/*}}"
    rows = (
        ("CreateCustomJob", jobs.create, "submissions", "POST", many, "custom_job"),
        ("GetCustomJob", jobs.get, "reads", "GET", one, ""),
        ("ListCustomJobs", jobs.list, "reads", "GET", many, ""),
        ("CancelCustomJob", jobs.cancel, "", "POST", f"{one}:cancel", "*"),
        ("DeleteCustomJob", jobs.delete, "submissions", "DELETE", one, ""),
    )
    return _table(JOBS, V1, rows)


def _tuning(tuning: TuningJobsApi) -> Sequence[Method]:
    many, one = f"{_PARENT}/hyperparameterTuningJobs", f"/v1/{{name={_LOCATION}/hyperparameterTuningJobs/*}}"
    field = "hyperparameter_tuning_job"
    rows = (
        ("CreateHyperparameterTuningJob", tuning.create, "submissions", "POST", many, field),
        ("GetHyperparameterTuningJob", tuning.get, "reads", "GET", one, ""),
        ("ListHyperparameterTuningJobs", tuning.list, "reads", "GET", many, ""),
        ("CancelHyperparameterTuningJob", tuning.cancel, "", "POST", f"{one}:cancel", "*"),
        ("DeleteHyperparameterTuningJob", tuning.delete, "submissions", "DELETE", one, ""),
    )
    return _table(JOBS, V1, rows)


def _pipelines(pipelines: TrainingPipelinesApi) -> Sequence[Method]:
    many, one = f"{_PARENT}/trainingPipelines", f"/v1/{{name={_LOCATION}/trainingPipelines/*}}"
    rows = (
        ("CreateTrainingPipeline", pipelines.create, "submissions", "POST", many, "training_pipeline"),
        ("GetTrainingPipeline", pipelines.get, "reads", "GET", one, ""),
        ("ListTrainingPipelines", pipelines.list, "reads", "GET", many, ""),
        ("CancelTrainingPipeline", pipelines.cancel, "", "POST", f"{one}:cancel", "*"),
        ("DeleteTrainingPipeline", pipelines.delete, "submissions", "DELETE", one, ""),
    )
    return _table(PIPELINES, V1, rows)


def _persistent(persistent: PersistentResourcesApi) -> Sequence[Method]:
    many, one = f"{_PARENT}/persistentResources", f"/v1/{{name={_LOCATION}/persistentResources/*}}"
    rows = (
        ("CreatePersistentResource", persistent.create, "submissions", "POST", many, "persistent_resource"),
        ("GetPersistentResource", persistent.get, "reads", "GET", one, ""),
        ("ListPersistentResources", persistent.list, "reads", "GET", many, ""),
        ("DeletePersistentResource", persistent.delete, "submissions", "DELETE", one, ""),
    )
    return _table(PERSISTENT, V1, rows)


def _models(models: RegisteredModelsApi) -> Sequence[Method]:
    many, one = f"{_PARENT}/models", f"/v1/{{name={_LOCATION}/models/*}}"
    rows = (
        ("GetModel", models.get, "reads", "GET", one, ""),
        ("ListModels", models.list, "reads", "GET", many, ""),
        ("ListModelVersions", models.list_versions, "reads", "GET", f"{one}:listVersions", ""),
        ("DeleteModel", models.delete, "", "DELETE", one, ""),
    )
    return _table(MODELS, V1, rows)


def _shared(apis: Apis) -> Sequence[Method]:
    """Operations and locations, which all of Google's APIs have."""
    operation, operations = f"/v1/{{name={_LOCATION}/**/operations/*}}", f"/v1/{{name={_LOCATION}/**}}/operations"
    made = apis.operations
    rows = (
        ("GetOperation", made.get, "reads", "GET", operation, ""),
        ("ListOperations", made.list, "reads", "GET", operations, ""),
        ("WaitOperation", made.wait, "reads", "POST", f"{operation}:wait", "*"),
        ("CancelOperation", made.cancel, "", "POST", f"{operation}:cancel", "*"),
        ("DeleteOperation", made.delete, "", "DELETE", operation, ""),
    )
    places = (
        ("ListLocations", apis.locations.list, "reads", "GET", "/v1/{name=projects/*}/locations", ""),
        ("GetLocation", apis.locations.get, "reads", "GET", f"/v1/{{name={_LOCATION}}}", ""),
    )
    return (
        *_table(OPERATIONS, "google.longrunning", rows),
        *_table(LOCATIONS, "google.cloud.location", places),
    )


def _logs(apis: Apis) -> Sequence[Method]:
    written = apis.written
    rows = (
        ("ListLogEntries", apis.logs.list, "log_reads", "POST", "/v2/entries:list", "*"),
        ("WriteLogEntries", written.write, "", "POST", "/v2/entries:write", "*"),
        ("ListLogs", written.list_logs, "log_reads", "GET", "/v2/{parent=projects/*}/logs", ""),
    )
    return _table(LOGGING, "google.logging.v2", rows)


def _table(service: str, package: str, rows: Sequence[tuple[str, Any, str, str, str, str]]) -> Sequence[Method]:
    return [
        Method(service, name, f"{package}.{name}Request", handler, quota, (verb, path), body)
        for name, handler, quota, verb, path, body in rows
    ]


class Dispatcher:
    """Calls methods; injects faults, enforces quotas and turns all exceptions into API errors.

    Args:
        methods: As `methods` returns them.
        faults: The faults to inject.
        quotas: The quotas to enforce.
        locations: The projects and regions that are served.
        report: Called with exceptions that are bugs of this program.
    """

    def __init__(
        self,
        methods: Sequence[Method],
        faults: Faults,
        quotas: Quotas,
        locations: Locations,
        report: Callable[[Exception], None],
    ) -> None:
        self.methods = methods
        self._faults = faults
        self._quotas = quotas
        self._locations = locations
        self._report = report

    def call(self, method: Method, request: object, caller: Caller) -> Generated:
        """The response message; raises `ApiError` for all failures."""
        try:
            self.before(method.name, method.quota, request)
            ranges.check(request, method.body)
            return method.handler(request, caller)
        except Exception as error:
            raise self.as_api_error(error) from error

    def before(self, name: str, quota: str = "", request: object = None) -> None:
        """Raises `ApiError` if the fault `unavailable` is set for this method, or the quota is used up."""
        project, region = place_of(getattr(request, "parent", "") or getattr(request, "name", ""))
        wanted = self._faults.fault_method
        if wanted in {"", name} and self._faults.take("unavailable", region):
            raise ApiError(Code.UNAVAILABLE, "The service is currently unavailable.")
        served = self._locations.project(project)
        if quota and (served or not project):
            self._quotas.spend(quota, self._locations.projects[served] if served else "", region)

    def as_api_error(self, error: Exception) -> ApiError:
        """The API error for an exception. For a full disk it is one that clients don't retry."""
        if isinstance(error, ApiError):
            return error
        if isinstance(error, TrainingError):
            return ApiError(Code.FAILED_PRECONDITION, str(error))
        self._report(error)
        return ApiError(Code.INTERNAL, "Internal error encountered.")
