"""The methods that are served: one table for gRPC and REST."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ...core.errors import TrainingError
from ..faults import Switches
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
    """One method with one request and one response.

    Attributes:
        service: Full name of its service.
        name: As "CreateCustomJob".
        request: Full name of the request message.
        handler: From a request message to a response message; raises `ApiError`.
        quota: Which quota a call spends; empty for none.
        http: The verb and path template of https://google.aip.dev/127; `*` is one part of a path.
        body: Which request field the HTTP body is; "*" for the whole request, empty for no body.
    """

    service: str
    name: str
    request: str
    handler: Callable[[Any], Any]
    quota: str
    http: tuple[str, str]
    body: str = ""


def table(jobs: JobsApi, logs: LogsApi) -> Sequence[Method]:
    """Every method with one response; TailLogEntries streams and is served apart."""
    v1, v2 = "google.cloud.aiplatform.v1", "google.logging.v2"
    parent = "/v1/{parent=projects/*/locations/*}/customJobs"
    job = "/v1/{name=projects/*/locations/*/customJobs/*}"
    operation = "/v1/{name=projects/*/locations/*/operations/*}"
    create, get, delete = (
        f"{v1}.CreateCustomJobRequest",
        f"{v1}.GetCustomJobRequest",
        f"{v1}.DeleteCustomJobRequest",
    )
    find, cancel = f"{v1}.ListCustomJobsRequest", f"{v1}.CancelCustomJobRequest"
    look, lines = "google.longrunning.GetOperationRequest", f"{v2}.ListLogEntriesRequest"
    return (
        Method(JOBS, "CreateCustomJob", create, jobs.create, "submissions", ("POST", parent), "custom_job"),
        Method(JOBS, "GetCustomJob", get, jobs.get, "reads", ("GET", job)),
        Method(JOBS, "ListCustomJobs", find, jobs.list, "reads", ("GET", parent)),
        Method(JOBS, "CancelCustomJob", cancel, jobs.cancel, "", ("POST", f"{job}:cancel"), "*"),
        Method(JOBS, "DeleteCustomJob", delete, jobs.delete, "submissions", ("DELETE", job)),
        Method(OPERATIONS, "GetOperation", look, jobs.get_operation, "reads", ("GET", operation)),
        Method(LOGGING, "ListLogEntries", lines, logs.list, "log_reads", ("POST", "/v2/entries:list"), "*"),
    )


class Dispatcher:
    """What surrounds every call: who may call, the switched faults, quotas, and errors nobody expected.

    Args:
        methods: As `table` returns them.
        switches: The faults to strike with.
        quotas: What calls spend.
        report: Told about errors that are this program's fault.
    """

    def __init__(
        self,
        methods: Sequence[Method],
        switches: Switches,
        quotas: Quotas,
        report: Callable[[Exception], None],
    ) -> None:
        self.methods = methods
        self._switches = switches
        self._quotas = quotas
        self._report = report

    def call(self, method: Method, request: object) -> Generated:
        """The response message, or `ApiError` for whatever went wrong."""
        self.before(method.name, method.quota)
        try:
            return method.handler(request)
        except Exception as error:
            raise self.as_api_error(error) from error

    def before(self, name: str, quota: str = "") -> None:
        """Raises the fault that a switch has ready for this method, and spends its quota."""
        wanted = self._switches.fault_method
        if wanted in {"", name} and self._switches.take("unavailable"):
            raise ApiError(Code.UNAVAILABLE, "The service is currently unavailable.")
        if quota:
            self._quotas.spend(quota)

    def as_api_error(self, error: Exception) -> ApiError:
        """The error to answer. A full disk is nothing that another try of the same call could help."""
        if isinstance(error, ApiError):
            return error
        if isinstance(error, TrainingError):
            return ApiError(Code.FAILED_PRECONDITION, str(error))
        self._report(error)
        return ApiError(Code.INTERNAL, "Internal error encountered.")
