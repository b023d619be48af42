"""Links to a job's log in the Google Cloud console, and commands that show the log in a terminal."""

from __future__ import annotations

from urllib.parse import quote

from .connection import Connection, region_of


def log_link(connection: Connection, name: str) -> str:
    """Address of the job's log in the console's Logs Explorer; empty for local_vertex.

    Args:
        connection: Where the job ran.
        name: The job's full name.
    """
    if connection.endpoint.local:
        return ""
    query = f'resource.type="ml_job"\nresource.labels.job_id="{_id(name)}"'
    return f"https://console.cloud.google.com/logs/query;query={quote(query, safe='')}?project={connection.project}"


def log_command(connection: Connection, name: str) -> str:
    """The shell command that shows the job's log.

    Args:
        connection: Where the job ran.
        name: The job's full name.
    """
    if connection.endpoint.local:
        return f"vertex-training local logs {_id(name)}"
    region = region_of(name) or connection.region
    return f"gcloud ai custom-jobs stream-logs {_id(name)} --project={connection.project} --region={region}"


def _id(name: str) -> str:
    return name.rpartition("/")[2]
