"""Google's errors in our tree: every status code, and messages that name what, where and the command that mends it."""

from __future__ import annotations

from dataclasses import replace

import google.auth.exceptions
import grpc
import pytest
import requests
from fixtures.google.scripted_vertex import TinyVertex, Wire
from google.api_core import exceptions
from google.rpc.error_details_pb2 import BadRequest
from prefect_vertex_training.core.errors import LocalServiceError, TrainingError, VertexError, VertexUnavailable
from prefect_vertex_training.vertex.client import errors
from prefect_vertex_training.vertex.client.call_context import CallContext
from prefect_vertex_training.vertex.client.calls import get
from prefect_vertex_training.vertex.client.connection import LOCAL, Connection
from prefect_vertex_training.vertex.client.endpoints import LocalEndpoint
from prefect_vertex_training.vertex.client.errors import translate

JOB = "projects/my-project/locations/europe-west4/customJobs/1"
CONTEXT = CallContext(
    "create the training job", JOB, "my-project", "europe-west4", "serviceAccount:ci@my-project.iam.gserviceaccount.com"
)
FAILURES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


@pytest.mark.parametrize("code", FAILURES, ids=lambda code: code.name)
def test_every_status_code_is_mapped(code: grpc.StatusCode) -> None:
    """A code in none of the tables, or in two, would be guessed at."""
    assert (code in errors.DEFINITE) != (code in errors.AMBIGUOUS)

    error = translate(exceptions.from_grpc_status(code, "words"), CONTEXT)

    assert error.transient == (code in errors.TRANSIENT)
    assert isinstance(error, VertexUnavailable) == error.transient
    assert "words" in (error.detail or "")
    assert error.next_step


@pytest.mark.parametrize("code", FAILURES, ids=lambda code: code.name)
def test_every_status_code_arrives_over_the_wire(
    connection: Connection, vertex: TinyVertex, code: grpc.StatusCode
) -> None:
    """What Google's client raises is one of ours, with the code behind it."""
    vertex.refusals = {"get": [code]}

    with pytest.raises(TrainingError) as caught:
        get(connection, JOB)

    assert code == errors.code_of(caught.value.__cause__)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "name",
    [n for n, c in vars(exceptions).items() if isinstance(c, type) and issubclass(c, exceptions.GoogleAPICallError)],
)
def test_every_exception_of_the_client_library_has_a_code(name: str) -> None:
    """Also those that come from HTTP, as Cloud Storage's do."""
    error = getattr(exceptions, name)("words")

    assert isinstance(translate(error, CONTEXT), TrainingError)


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (google.auth.exceptions.DefaultCredentialsError("none"), False),
        (google.auth.exceptions.RefreshError("expired"), False),
        (google.auth.exceptions.TransportError("no route", retryable=True), True),
        (requests.exceptions.ConnectionError("reset"), True),
        (ConnectionResetError("reset"), True),
        (exceptions.RetryError("gave up", cause=None), True),
    ],
)
def test_errors_without_a_code(error: Exception, transient: bool) -> None:
    """Bad credentials are final, lost connections are not."""
    assert errors.is_call_error(error)
    assert transient == translate(error, CONTEXT).transient


def test_own_mistakes_are_not_disguised(connection: Connection) -> None:
    """A programming error is no trouble of the service's."""
    with pytest.raises(ZeroDivisionError), errors.mapped(CONTEXT):
        _ = 1 / 0


MISTAKES = [
    pytest.param(
        grpc.StatusCode.INVALID_ARGUMENT,
        "List of found errors:\t1.Field: job_spec.worker_pool_specs[0].machine_spec.accelerator_type; Message: Both "
        "`accelerator_type` and `accelerator_count` should be specified or none.\t "
        "2.Field: display_name; Message: bad.\t ",
        ["accelerator_type: Both `accelerator_type`", "display_name: bad."],
        id="fields",
    ),
    pytest.param(
        grpc.StatusCode.INVALID_ARGUMENT,
        "List of found errors:\t1.Field: parent; Message: The provided location ID doesn't match the endpoint. "
        "The valid location ID is `us-central1`.\t ",
        [
            "endpoint belongs to region us-central1, the request to europe-west4",
            "Set the block's region to us-central1",
        ],
        id="endpoint",
    ),
    pytest.param(
        grpc.StatusCode.INVALID_ARGUMENT,
        "You do not have permission to act as service_account: t@p.iam.gserviceaccount.com. (or it may not exist).",
        [
            "no permission iam.serviceAccounts.actAs on the service account t@p.iam.gserviceaccount.com,",
            "gcloud iam service-accounts add-iam-policy-binding t@p.iam.gserviceaccount.com --project=my-project",
            "--member=serviceAccount:ci@my-project.iam.gserviceaccount.com --role=roles/iam.serviceAccountUser",
        ],
        id="actAs",
    ),
    pytest.param(
        grpc.StatusCode.PERMISSION_DENIED,
        "Permission 'aiplatform.customJobs.create' denied on resource "
        "'//aiplatform.googleapis.com/projects/my-project/locations/europe-west4' (or it may not exist).",
        [
            "has no aiplatform.customJobs.create on aiplatform.googleapis.com/projects/my-project/locations/europe",
            "gcloud projects add-iam-policy-binding my-project --member=serviceAccount:ci@my-project.iam",
            "--role=roles/aiplatform.user",
        ],
        id="IAM",
    ),
    pytest.param(
        grpc.StatusCode.PERMISSION_DENIED,
        "Vertex AI API has not been used in project my-project before or it is disabled. Enable it by visiting "
        "https://console.developers.google.com/apis/api/aiplatform.googleapis.com/overview?project=my-project",
        ["gcloud services enable aiplatform.googleapis.com --project=my-project"],
        id="API off",
    ),
    pytest.param(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "The following quota metrics exceed quota limits: aiplatform.googleapis.com/custom_model_training_l4_gpus",
        [
            "quota aiplatform.googleapis.com/custom_model_training_l4_gpus of project my-project",
            "iam-admin/quotas",
        ],
        id="quota",
    ),
    pytest.param(
        grpc.StatusCode.FAILED_PRECONDITION,
        "The Cloud Storage bucket of `gs://b` is in location `us`. It must be in the same regional location as ...",
        ["not in the job's region europe-west4", "--location=europe-west4"],
        id="bucket region",
    ),
]


@pytest.mark.parametrize(("code", "text", "parts"), MISTAKES)
def test_messages_name_what_and_the_next_step(code: grpc.StatusCode, text: str, parts: list[str]) -> None:
    """The service's recorded words become one line with the resource and the command."""
    said = str(translate(exceptions.from_grpc_status(code, text), CONTEXT))

    assert "\n" not in said
    assert "\t" not in said
    assert [part for part in parts if part not in said] == [], said


def test_field_violations_are_told_even_when_the_text_is_not() -> None:
    """The bad fields may stand in the error's details alone."""
    violation = BadRequest.FieldViolation(field="job_spec.network", description="not a network")
    detail = BadRequest(field_violations=[violation])
    error = exceptions.InvalidArgument("Request contains an invalid argument.", details=[detail])

    assert "job_spec.network: not a network" in str(translate(error, CONTEXT))


def test_a_forbidden_bucket_names_the_buckets_command() -> None:
    """Cloud Storage speaks HTTP; its 403 is the same refusal."""
    context = CallContext("list the model's files", "gs://models/run/model", "p", "r")
    error = exceptions.Forbidden(
        "403 GET https://storage: ci@p does not have storage.objects.list access to the Google Cloud Storage bucket."
    )
    said = translate(error, context)

    assert isinstance(said, VertexError)
    assert "gcloud storage buckets add-iam-policy-binding gs://models --member=user:" in str(said)


def test_a_lost_local_service_says_what_happens_next() -> None:
    """On this machine the service is ours: it is transient, and says that nothing is lost."""
    context = CallContext("create the training job", JOB, "local", "here", local=True)
    error = translate(exceptions.ServiceUnavailable("connection refused"), context)

    assert isinstance(error, LocalServiceError)
    assert error.transient
    assert "jobs are kept" in str(error)


def test_a_stuck_call_ends_at_its_deadline(wire: Wire, vertex: TinyVertex) -> None:
    """The generated client has no time limit of its own: a service that hangs must not hang the caller."""
    place = LocalEndpoint("p", "r", "b", wire.target, None)
    connection = Connection(lambda: place, replace(LOCAL, deadline=0.05))

    with vertex.lock, pytest.raises(LocalServiceError, match="DEADLINE_EXCEEDED"):
        get(connection, JOB)
