"""A training job as a page of its run: where to look at it, in a browser and in a terminal."""

from __future__ import annotations

from prefect.artifacts import create_markdown_artifact

from ...vertex.client.connection import Connection
from ...vertex.client.console_links import log_command, log_link
from ...vertex.job_types import JobRequest
from .artifacts import artifact_key, copied, only_shown


def report_job(connection: Connection, name: str, request: JobRequest) -> None:
    """Writes the artifact `PROJECT-job`, so that the job is a click away while it runs."""
    with only_shown():
        create_markdown_artifact(
            page(connection, name, request), key=artifact_key("job"), description="The training job, and its log"
        )


def page(connection: Connection, name: str, request: JobRequest) -> str:
    """The artifact's text; what local_vertex runs has no page in a browser."""
    links = {"Open the job": connection.console(name), "Open its log": log_link(connection, name)}
    shown = " · ".join(f"[{words}]({link})" for words, link in links.items() if link)
    parts = [
        shown,
        f"Job\n{copied(name)}",
        f"Its log in a terminal\n{copied(log_command(connection, name))}",
        f"Image\n{copied(request.image)}",
        f"Output\n{copied(request.output)}",
        f"{request.replicas} x {request.machine}",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"
