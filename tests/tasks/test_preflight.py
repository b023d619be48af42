"""The step that checks a project in the cloud before anything is built."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import UUID

import pytest
import requests
from fixtures.google.google_apis import BUCKET, PROJECT, REGION, GoogleApis, serving
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.runtime import flow_run
from prefect_vertex_training.blocks.registry import ContainerRegistry
from prefect_vertex_training.blocks.vertex_ai import VertexAI
from prefect_vertex_training.core.errors import VertexError
from prefect_vertex_training.core.job_options import Machine
from prefect_vertex_training.tasks.preflight import ProjectAccess, check_project
from prefect_vertex_training.tasks.reporting.artifacts import artifacts_of
from prefect_vertex_training.vertex.job_types import JobDescription
from prefect_vertex_training.vertex.preflight.google_api import GoogleApi
from prefect_vertex_training.vertex.preflight.readiness import summary

pytestmark = pytest.mark.prefect

VERTEX = VertexAI(project=PROJECT, region=REGION, bucket=BUCKET)
REGISTRY = ContainerRegistry(host=f"{REGION}-docker.pkg.dev", project=PROJECT, repository="training")
JOB = JobDescription(
    display_name="tiny", output=f"gs://{BUCKET}/tiny", machine=Machine("n1-standard-8", "NVIDIA_TESLA_T4", 2)
)


class OnThisMachine(ProjectAccess):
    """The same, with Google's APIs on a loopback port."""

    apis: GoogleApis

    def api(self) -> GoogleApi:
        return GoogleApi(requests.Session(), address=lambda _: self.apis.address, account="user:me@example.com")


@pytest.fixture
def access() -> Iterator[OnThisMachine]:
    """A project in which everything is right."""
    with serving(GoogleApis()) as apis:
        found = OnThisMachine(VERTEX, REGISTRY, JOB)
        found.apis = apis
        yield found


def run(access: ProjectAccess, *, strict: bool) -> list[dict[str, str]]:
    """The rows of the table that the step shows."""
    runs: list[str] = []

    @flow(name="checked")
    def checked() -> None:
        runs.append(str(flow_run.id))
        with artifacts_of("tiny"):
            check_project(access, strict)

    try:
        checked()
    finally:
        wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(runs[0])]))
        with get_client(sync_client=True) as client:
            tables = [found for found in client.read_artifacts(artifact_filter=wanted) if found.type == "table"]
        rows = str(tables[0].data)
    return json.loads(rows)


def test_a_failed_check_stops_the_run_with_its_fix(prefect_server: str, access: OnThisMachine) -> None:
    """One line with the first failure and its command, how to go on all the same, and how many others there are."""
    access.apis.services["storage.googleapis.com"] = "DISABLED"
    access.apis.quotas["custom_model_training_nvidia_t4_gpus"] = 0

    with pytest.raises(VertexError) as refused:
        run(access, strict=True)

    said = str(refused.value)
    assert "service storage.googleapis.com: not enabled in my-project; 1 more check failed" in said
    assert "gcloud services enable storage.googleapis.com --project=my-project" in said
    assert 'preflight = "warn"' in said
    assert "custom_model_training_nvidia_t4_gpus" in refused.value.detail


def test_a_warning_goes_on_and_what_is_right_is_shown_too(prefect_server: str, access: OnThisMachine) -> None:
    """The table has every check, those that need somebody first."""
    access.apis.denied.add("storage.objects.create")

    rows = run(access, strict=False)

    assert [row["status"] for row in rows[:2]] == ["FAIL", "PASS"]
    assert "roles/storage.objectUser" in rows[0]["fix"]
    assert len(rows) > 10


def test_the_summary_counts() -> None:
    """What passed is always said."""
    from prefect_vertex_training.vertex.preflight.check_result import Finding

    found = [Finding("a", "PASS", ""), Finding("b", "UNKNOWN", ""), Finding("c", "PASS", "")]
    assert summary(found) == "preflight: 2 passed, 1 unknown"
    assert summary([]) == "preflight: 0 passed"
