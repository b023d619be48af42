"""What went wrong with a job, as a page of the run: kind, cause, next step, links, last lines."""

from __future__ import annotations

from prefect.artifacts import create_markdown_artifact

from ..vertex.connection import Connection
from ..vertex.links import log_command, log_link
from ..vertex.model import Outcome
from .artifacts import artifact_key, only_shown


def report_failure(connection: Connection, outcome: Outcome) -> None:
    """Writes the artifact `PROJECT-failure` of a job that ended without success."""
    with only_shown():
        create_markdown_artifact(
            page(connection, outcome), key=artifact_key("failure"), description="Why the training job failed"
        )


def page(connection: Connection, outcome: Outcome) -> str:
    """The artifact's text."""
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
    table = [f"| {name} | {_cell(text)} |" for name, text in rows.items() if text]
    lines = ["", "````text", *outcome.tail, "````"] if outcome.tail else []
    return "\n".join(["| | |", "|---|---|", *table, *lines])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
