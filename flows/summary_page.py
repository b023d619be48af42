"""The artifacts that the page of a run in Prefect's UI shows: progress, and a summary at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.artifacts import create_markdown_artifact

from ..tasks.reporting.artifacts import artifact_key, artifacts_of, copyable, optional_display
from .step_runner import Steps


@contextmanager
def run_page(project: str, steps: Steps) -> Iterator[None]:
    """Names the steps that run inside, and their artifacts, after the project; writes a summary however they end."""
    steps.subject = project
    whole = False
    with artifacts_of(project):
        try:
            yield
            whole = True
        finally:
            steps.progress.close("finished" if whole else "ended without a model", whole=whole)
            with optional_display():
                create_markdown_artifact(
                    summary(project, steps), key=artifact_key("summary"), description="What the run did"
                )


def summary(name: str, steps: Steps) -> str:
    """Markdown of the summary: the steps with their durations, and their results."""
    rows = "\n".join(f"| {step.name} | {step.state} | {step.seconds:,.2f} |" for step in steps.reports)
    total = sum(step.seconds for step in steps.reports)
    made = [
        ("Image", "reference", steps.results.get("push")),
        ("Job", "name", steps.results.get("watch") or steps.results.get("submit")),
        ("Model", "model", steps.results.get("receipt")),
    ]
    lines = "\n".join(
        f"{what}\n{copyable(getattr(value, field))}\n" for what, field, value in made if value is not None
    )
    return (
        f"# {name}\n\n| step | state | seconds |\n|---|---|---:|\n{rows}\n| **all** | | **{total:,.2f}** |\n\n{lines}"
    )
