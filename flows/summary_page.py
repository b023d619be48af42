"""The artifacts that the page of a run in Prefect's UI shows: progress, and a summary at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import Artifact
from prefect.client.schemas.sorting import ArtifactSort

from ..tasks.reporting import dependency_page
from ..tasks.reporting.artifacts import artifact_key, artifacts_of, optional_display
from ..tasks.reporting.links import artifact_page, run_page
from ..tasks.reporting.markdown import copyable, link, plain, table
from ..tasks.verify import page as verify_page
from .step_runner import Steps

# What a step's artifact begins with, by which the one that an earlier run made of the same result is found.
_BEGINNINGS: dict[str, tuple[tuple[str, ...], Callable[[Any], str]]] = {
    "verify": (("verify",), verify_page),
    "freeze": (("dependencies",), dependency_page.page),
    "build": (("image-build",), lambda image: copyable(image.reference)),
    "push": (("image-push", "image-build"), lambda image: copyable(image.reference)),
}

_NEWEST = 50
"""Artifacts that are looked through for those of cached steps."""


@contextmanager
def summarized(project: str, steps: Steps) -> Iterator[None]:
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
    rows: list[tuple[object, ...]] = [(step.name, step.state, f"{step.seconds:,.2f}") for step in steps.reports]
    rows.append(("all", "", f"{sum(step.seconds for step in steps.reports):,.2f}"))
    return "\n\n".join(
        [f"# {plain(name)}", table(["step", "state", "seconds"], rows, numbers={2}), *_earlier(steps), *_made(steps)]
    )


def _made(steps: Steps) -> Iterator[str]:
    """What the run made: image, job and model, the metrics, and where to look at them."""
    outcome = steps.results.get("watch")
    made = [
        ("Image", "reference", steps.results.get("push")),
        ("Job", "name", outcome or steps.results.get("submit")),
        ("Model", "model", steps.results.get("receipt")),
    ]
    yield from (f"{what}: {copyable(getattr(value, field))}" for what, field, value in made if value is not None)
    if outcome is not None:
        yield f"The job ran for {outcome.seconds:,.1f} s."
        rows = [
            (metric, f"{values.last:.6g}", f"{values.lowest:.6g}", f"{values.highest:.6g}")
            for metric, values in outcome.metrics.items()
        ]
        if rows:
            yield table(["metric", "last", "lowest", "highest"], rows, numbers={1, 2, 3})
    pages = [link(f"Open the {what}", url) for what, url in steps.links.items() if what != "run"]
    if pages:
        yield " · ".join(pages)


def _earlier(steps: Steps) -> Iterator[str]:
    """Links to the artifacts that earlier runs made of the results that this run took over."""
    wanted = {
        step.name: (tuple(map(artifact_key, keys)), begin(steps.results[step.name]))
        for step in steps.reports
        if step.state == "Cached" and step.name in steps.results and step.name in _BEGINNINGS
        for keys, begin in [_BEGINNINGS[step.name]]
    }
    if not wanted:
        return
    found = _newest({key for keys, _ in wanted.values() for key in keys})
    shown = []
    for step, (keys, begin) in wanted.items():
        made = next((item for item in found if item.key in keys and str(item.data).startswith(begin)), None)
        if made is not None:
            shown.append(f"{link(step, artifact_page(made.id))} ({link('its run', run_page(str(made.flow_run_id)))})")
    if shown:
        yield f"Cached, made by earlier runs: {', '.join(shown)}"


def _newest(keys: set[str]) -> list[Artifact]:
    with get_client(sync_client=True) as client:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=sorted(keys)))
        return client.read_artifacts(artifact_filter=wanted, sort=ArtifactSort.CREATED_DESC, limit=_NEWEST)
