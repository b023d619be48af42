"""The table of all methods, and what happens around every call, over gRPC and REST."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ...core.errors import TrainingError
from ..faults import Faults
from .jobs import JobsApi
from .logs import LogsApi
from .quotas import Quotas
from .schema import Generated
from .status import ApiError, Code

JOBS = "google.cloud.aiplatform.v1.JobService"
OPERATIONS = "google.longrunning.Operations"
LOGGING = "google.logging.v2.LoggingServiceV2"


@dataclass(frozen=True, slots=True)
class Method:
    """A method with one request and one response.

    Attributes:
        service: Full name of its service.
        name: For example "CreateCustomJob".
        request: Full name of the request message.
        handler: Takes a request message, returns a response message or raises `ApiError`.
        quota: The quota that a call counts against; empty for none.
        http: HTTP verb and path template (https://google.aip.dev/127); `*` matches one segment of a path.
        body: The request field in the HTTP body; "*" for the whole request, empty without a body.
    """

    service: str
    name: str
    request: str
    handler: Callable[[Any], Any]
    quota: str
    http: tuple[str, str]
    body: str = ""


def methods(jobs: JobsApi, logs: LogsApi) -> Sequence[Method]:
    """All methods with one response; TailLogEntries, which streams, is served by `GrpcServer`."""
    v1, v2 = "google.cloud.aiplatform.v1", "google.logging.v2"
    parent = "/v1/{parent=projects/*/locations/*}/customJobs"
    job = "/v1/{name=projects/*/locations/*/customJobs/*}"
    operation = "/v1/{name=projects/*/locations/*/operations/*}"
    create, get, list_, cancel, delete = (
        f"{v1}.{name}Request"
        for name in ("CreateCustomJob", "GetCustomJob", "ListCustomJobs", "CancelCustomJob", "DeleteCustomJob")
    )
    get_operation, list_entries = "google.longrunning.GetOperationRequest", f"{v2}.ListLogEntriesRequest"
    return (
        Method(JOBS, "CreateCustomJob", create, jobs.create, "submissions", ("POST", parent), "custom_job"),
        Method(JOBS, "GetCustomJob", get, jobs.get, "reads", ("GET", job)),
        Method(JOBS, "ListCustomJobs", list_, jobs.list, "reads", ("GET", parent)),
        Method(JOBS, "CancelCustomJob", cancel, jobs.cancel, "", ("POST", f"{job}:cancel"), "*"),
        Method(JOBS, "DeleteCustomJob", delete, jobs.delete, "submissions", ("DELETE", job)),
        Method(OPERATIONS, "GetOperation", get_operation, jobs.get_operation, "reads", ("GET", operation)),
        Method(LOGGING, "ListLogEntries", list_entries, logs.list, "log_reads", ("POST", "/v2/entries:list"), "*"),
    )


class Dispatcher:
    """Calls methods; injects faults, enforces quotas and turns all exceptions into API errors.

    Args:
        methods: As `methods` returns them.
        faults: The faults to inject.
        quotas: The quotas to enforce.
        report: Called with exceptions that are bugs of this program.
    """

    def __init__(
        self,
        methods: Sequence[Method],
        faults: Faults,
        quotas: Quotas,
        report: Callable[[Exception], None],
    ) -> None:
        self.methods = methods
        self._faults = faults
        self._quotas = quotas
        self._report = report

    def call(self, method: Method, request: object) -> Generated:
        """The response message; raises `ApiError` for all failures."""
        self.before(method.name, method.quota)
        try:
            return method.handler(request)
        except Exception as error:
            raise self.as_api_error(error) from error

    def before(self, name: str, quota: str = "") -> None:
        """Raises `ApiError` if the fault `unavailable` is set for this method, or the quota is used up."""
        wanted = self._faults.fault_method
        if wanted in {"", name} and self._faults.take("unavailable"):
            raise ApiError(Code.UNAVAILABLE, "The service is currently unavailable.")
        if quota:
            self._quotas.spend(quota)

    def as_api_error(self, error: Exception) -> ApiError:
        """The API error for an exception. For a full disk it is one that clients don't retry."""
        if isinstance(error, ApiError):
            return error
        if isinstance(error, TrainingError):
            return ApiError(Code.FAILED_PRECONDITION, str(error))
        self._report(error)
        return ApiError(Code.INTERNAL, "Internal error encountered.")
