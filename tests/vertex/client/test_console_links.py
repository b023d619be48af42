"""Where a person looks at a job."""

from __future__ import annotations

from urllib.parse import unquote

from prefect_vertex_training.vertex.client.connection import Connection
from prefect_vertex_training.vertex.client.console_links import log_command, log_link

JOB = "projects/4711/locations/europe-west4/customJobs/123"


def test_the_cloud_has_pages() -> None:
    """The query names the job alone: its id is enough, and the address works without knowing the project's number."""
    connection = Connection.google("my-project", "europe-west4", "bucket")
    link = log_link(connection, JOB)

    assert link.startswith("https://console.cloud.google.com/logs/query;query=resource.type%3D%22ml_job%22%0A")
    assert unquote(link).endswith('resource.labels.job_id="123"?project=my-project')
    assert log_command(connection, JOB).startswith("gcloud ai custom-jobs stream-logs 123 --project=my-project")


def test_this_machine_has_a_command(connection: Connection) -> None:
    """No page, but the same lines."""
    assert not log_link(connection, JOB)
    assert log_command(connection, JOB) == "vertex-training local logs 123"
