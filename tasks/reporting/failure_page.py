"""The artifact about a failed job: kind of failure, cause, next step, links, last log lines."""

from __future__ import annotations

from collections.abc import Mapping

from prefect.artifacts import create_markdown_artifact

from ...core.errors import VertexError
from ...vertex.client.connection import Connection
from ...vertex.client.console_links import log_command, log_link
from ...vertex.job_types import Outcome
from .artifacts import artifact_key, optional_display


def report_failure(connection: Connection, outcome: Outcome) -> None:
    """Writes the artifact `PROJECT-failure` for a job that ended without success."""
    _write(page(connection, outcome))


def report_refusal(error: VertexError) -> None:
    """Writes the same artifact where the service refused to create the job."""
    _write(
        _table(
            {
                "kind": error.kind and f"`{error.kind}`",
                "what happened": error.what,
                "where": error.where,
                "next step": error.next_step,
            }
        )
    )


def _write(text: str) -> None:
    with optional_display():
        create_markdown_artifact(text, key=artifact_key("failure"), description="Why the training job failed")


def page(connection: Connection, outcome: Outcome) -> str:
    """The artifact's Markdown."""
    found = outcome.diagnosis
    console, log = connection.console(outcome.name), log_link(connection, outcome.name)
    rows = {
        "kind": found and f"`{found.kind}`",
        "what happened": found and found.sentence,
        "next step": found and found.next_step,
        "another try": found and ("can help" if found.retryable else "would end the same way"),
        "state": f"`{outcome.state}`",
        "job": f"[{outcome.name}]({console})" if console else f"`{outcome.name}`",
        "log": f"[Logs Explorer]({log})" if log else "",
        "log here": f"`{log_command(connection, outcome.name)}`",
        "the service's words": outcome.error,
    }
    lines = ["", "````text", *outcome.tail, "````"] if outcome.tail else []
    return "\n".join([_table(rows), *lines])


def _table(rows: Mapping[str, str | None]) -> str:
    lines = [f"| {name} | {_cell(text)} |" for name, text in rows.items() if text]
    return "\n".join(["| | |", "|---|---|", *lines])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
