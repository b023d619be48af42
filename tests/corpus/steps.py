"""Where the corpus meets the product: the steps of a run, in this process, without Prefect's server.

Everything that the corpus knows of the product's API stands in this module.
"""

from __future__ import annotations

import gzip
import json
import re
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import cast

from prefect_vertex_training.core.home import Home
from prefect_vertex_training.images.build import build
from prefect_vertex_training.images.docker.build_context import context_names
from prefect_vertex_training.images.layers.image_paths import APP
from prefect_vertex_training.images.oci.layout import OciLayout
from prefect_vertex_training.project.dependencies.freeze import Lock, freeze
from prefect_vertex_training.project.local_run.verify import verify
from prefect_vertex_training.project.snapshot import Project
from prefect_vertex_training.tasks.image_plan import ImagePlan, plan_image
from prefect_vertex_training.tasks.verify import unwritable

Log = Callable[[str], None]
_BUCKET = "corpus"


@dataclass(frozen=True, slots=True)
class Verified:
    """What the local run left: the model's files, and the command as a person would type it; empty if it is off."""

    model: Sequence[str] = ()
    command: str = ""
    off: bool = False


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What the job gets."""

    args: Sequence[str]
    command: Sequence[str]
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Content:
    """What an image's own layers hold: paths below the working directory, and the oldest member's year."""

    folders: set[str] = field(default_factory=set)
    oldest: int = 9999


def open_project(folder: Path, home: Home, log: Log) -> Project:
    """Settings, files and fingerprint."""
    project = Project.open(folder, home)
    for line in project.lines():
        log(line)
    return project


def verified(project: Project, args: Sequence[str], home: Home, log: Log) -> Verified:
    """Step 1."""
    if project.settings.verify in {"off", "image"}:
        return Verified(off=True)
    arguments = [*project.settings.args, *args]
    report = verify(project.root, project.files, project.settings, arguments, cache=home.cache, log=log)
    if warning := unwritable(project, report.written):
        log(f"warning: {warning}")
    return Verified(report.model_files, " ".join(report.command))


def frozen(project: Project, home: Home, log: Log) -> Lock:
    """Step 2."""
    lock = freeze(project.root, project.settings, cache=home.cache)
    for line in (*map(str, lock.changes), *lock.notes):
        log(line)
    return lock


def planned(project: Project, lock: Lock, home: Home) -> ImagePlan:
    """What step 3 would build."""
    return plan_image(project, lock, registry=None, builder="auto", home=home)


def entry_point(plan: ImagePlan) -> tuple[list[str], list[str]]:
    """The image's ENTRYPOINT and CMD, programs and scripts as a person would type them."""
    if plan.request.dockerfile is None:
        return list(plan.request.entry or ("python", plan.request.script)), []
    return _dockerfile_words(plan.request.dockerfile.read_text())


def _dockerfile_words(text: str) -> tuple[list[str], list[str]]:
    """ENTRYPOINT and CMD of the last stage, where they are in exec form."""
    words: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, _, value = line.strip().partition(" ")
        if name == "FROM":
            words = {}
        elif name in {"ENTRYPOINT", "CMD"}:
            words[name] = json.loads(value) if value.startswith("[") else ["/bin/sh", "-c", value]
    return words.get("ENTRYPOINT", []), words.get("CMD", [])


def image_files(plan: ImagePlan) -> set[str]:
    """The project's files that the build gets."""
    if plan.builder == "docker" and plan.request.dockerfile is not None:
        return set(context_names(plan.request))
    return {file.path for file in plan.request.files}


def built_content(plan: ImagePlan, home: Home) -> Content:
    """Builds the image, directly into this machine's layout, and reads its layers."""
    image = build(plan.request, cast("OciLayout", plan.layout), cache=home.cache, base=None)
    content = Content()
    oldest = 9999
    for layer in image.layers:
        data = plan.layout.blob_path(layer.digest).read_bytes()
        with tarfile.open(fileobj=BytesIO(gzip.decompress(data))) as archive:
            for member in archive:
                oldest = min(oldest, datetime.fromtimestamp(member.mtime, UTC).year)
                if member.isdir():
                    content.folders.add(f"/{member.name}".removeprefix(f"{APP}/"))
    return Content(content.folders, oldest)


def job_facts(project: Project, args: Sequence[str]) -> JobFacts:
    """The job's arguments, command and variables, with the run's own folders as `<model-dir>` and the like."""
    from prefect_vertex_training.flows.job_request import RunName, describe_job

    request = describe_job(project, [*project.settings.args, *args], _BUCKET, None, RunName("run-id", "run"))
    output = request.output.rstrip("/")

    def shown(text: str) -> str:
        for kind, folder in (("model", "model"), ("checkpoint", "checkpoints"), ("log", "logs")):
            text = re.sub(rf"{re.escape(output)}/{folder}/?(?=$|/)", f"<{kind}-uri>", text)
            mounted = re.escape(output.replace("gs://", "/gcs/"))
            text = re.sub(rf"{mounted}/{folder}/?(?=$|/)", f"<{kind}-dir>", text)
        return text

    return JobFacts(
        [shown(text) for text in request.args],
        [shown(text) for text in request.command],
        {name: shown(text) for name, text in request.env.items()},
    )


def trained(folder: Path, args: Sequence[str]) -> Path:
    """The whole flow, with a real job in local_vertex; the folder of its model."""
    from prefect_vertex_training.flows.train import train

    return Path(train(str(folder), args=list(args)).model)
