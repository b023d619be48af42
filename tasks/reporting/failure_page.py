"""The artifact about a failed job: kind of failure, cause, next step, links, last log lines."""

from __future__ import annotations

from collections.abc import Mapping

from ...core.errors import VertexError
from ...vertex.client.connection import Connection
from ...vertex.client.console_links import log_command, log_link
from ...vertex.job_types import Outcome
from .artifacts import optional_display, write_page
from .markdown import Markdown, copyable, fenced, link, table


def report_failure(connection: Connection, outcome: Outcome) -> None:
    """Writes the artifact `PROJECT-failure` for a job that ended without success."""
    _write(page(connection, outcome))


def report_refusal(error: VertexError) -> None:
    """Writes the same artifact where the service refused to create the job."""
    _write(
        _table(
            {
                "kind": error.kind,
                "what happened": error.what,
                "where": error.where,
                "next step": error.next_step,
            }
        )
    )


def _write(text: str) -> None:
    with optional_display():
        write_page(text, "failure", "Why the training job failed")


def page(connection: Connection, outcome: Outcome) -> str:
    """The artifact's Markdown."""
    found = outcome.diagnosis
    console, log = connection.console(outcome.name), log_link(connection, outcome.name)
    rows = {
        "kind": found and found.kind,
        "what happened": found and found.sentence,
        "next step": found and found.next_step,
        "another try": found and ("can help" if found.retryable else "would end the same way"),
        "state": outcome.state,
        "job": link(outcome.name, console) if console else copyable(outcome.name),
        "log": log and link("Logs Explorer", log),
        "log here": copyable(log_command(connection, outcome.name)),
        "the service's words": outcome.error,
    }
    return "\n\n".join([_table(rows), *([fenced("\n".join(outcome.tail))] if outcome.tail else [])])


def _table(rows: Mapping[str, str | None]) -> Markdown:
    return table(["", ""], [row for row in rows.items() if row[1]])
