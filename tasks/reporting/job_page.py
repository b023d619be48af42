"""The artifact about a training job: links to its pages, and commands for a terminal."""

from __future__ import annotations

from ...vertex.client.connection import Connection
from ...vertex.client.console_links import log_command, log_link
from ...vertex.job_types import JobRequest
from .artifacts import optional_display, write_page
from .markdown import copyable, link, plain


def report_job(connection: Connection, name: str, request: JobRequest) -> None:
    """Writes the artifact `PROJECT-job`, which links to the job while it runs."""
    with optional_display():
        write_page(page(connection, name, request), "job", "The training job, and its log")


def page(connection: Connection, name: str, request: JobRequest) -> str:
    """The artifact's Markdown; jobs of local_vertex have no page in a browser."""
    links = {"Open the job": connection.console(name), "Open its log": log_link(connection, name)}
    parts = [
        " · ".join(link(words, url) for words, url in links.items() if url),
        f"Job: {copyable(name)}",
        f"Its log in a terminal: {copyable(log_command(connection, name))}",
        f"Image: {copyable(request.image)}",
        f"Output: {copyable(request.output)}",
        plain(f"{request.replicas} x {request.machine}"),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"
