"""Where a person looks at a job: the console's pages for Google, a command for local_vertex."""

from __future__ import annotations

from urllib.parse import quote

from .connection import Connection


def log_link(connection: Connection, name: str) -> str:
    """The job's lines in the console's Logs Explorer; empty for local_vertex.

    Args:
        connection: Where the job ran.
        name: The job's full name.
    """
    if connection.place.local:
        return ""
    query = f'resource.type="ml_job"\nresource.labels.job_id="{_id(name)}"'
    return f"https://console.cloud.google.com/logs/query;query={quote(query, safe='')}?project={connection.project}"


def log_command(connection: Connection, name: str) -> str:
    """The command that shows the job's lines.

    Args:
        connection: Where the job ran.
        name: The job's full name.
    """
    if connection.place.local:
        return f"vertex-training local logs {_id(name)}"
    return f"gcloud ai custom-jobs stream-logs {_id(name)} --project={connection.project} --region={connection.region}"


def _id(name: str) -> str:
    return name.rpartition("/")[2]
