"""Which regions have quota for a job, asked over HTTP; what can't be asked is unknown, and stops nothing."""

from __future__ import annotations

import requests
from fixtures.google.google_apis import BUCKET, PROJECT, REGION, GoogleApis, serving
from prefect_vertex_training.core.job_options import Machine
from prefect_vertex_training.flows.listed_places.region_quotas import quotas_by_region
from prefect_vertex_training.vertex.job_types import JobDescription
from prefect_vertex_training.vertex.preflight.google_api import GoogleApi
from prefect_vertex_training.vertex.preflight.subject import Subject

JOB = JobDescription(
    display_name="digits", output="gs://models/out", machine=Machine("n1-standard-8", "NVIDIA_TESLA_T4", 2)
)


def test_quota_is_known_missing_or_unknown() -> None:
    """The fixture's project has quota in its own region, none in asia-east1, and 1 of each elsewhere."""
    with serving(GoogleApis()) as apis:

        def api() -> GoogleApi:
            return GoogleApi(requests.Session(), address=lambda _: apis.address)

        found = quotas_by_region(
            api(), lambda region: Subject(PROJECT, region, BUCKET, job=JOB), [REGION, "asia-east1"]
        )
        apis.forbidden.append("v1/projects")
        silent = quotas_by_region(api(), lambda region: Subject(PROJECT, region, BUCKET, job=JOB), [REGION])

    assert found == {REGION: True, "asia-east1": False}
    assert silent == {REGION: None}
