"""The job that a run describes: from the project's settings, the VertexAI block, and the run itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from prefect.runtime import flow_run as current_run

from ..core.output_folders import bucket_folder_uri, model_folder, mounted_path, run_output
from ..core.placeholders import data_values, fill, fill_all, folder_values
from ..images.plan import Builder
from ..project.settings.settings import Settings
from ..project.snapshot import Project
from ..runtime import data_variable, outputs_variable
from ..vertex.job_types import JobDescription
from ..vertex.labels import RUN_LABEL
from ..vertex.spec.request_limits import DISPLAY_NAME_LIMIT
from .image_startup import place_arguments
from .planning.launcher_setting import launcher_variables

if TYPE_CHECKING:
    from ..blocks.vertex_ai import VertexAI
    from ..datasets.data_record import DataRecord


class RunName(NamedTuple):
    """A flow run's id and name."""

    id: str
    name: str


def current_run_name() -> RunName:
    """Those of the flow run that this is."""
    return RunName(str(current_run.id), str(current_run.name))


def describe_job(
    project: Project,
    args: list[str],
    bucket: str,
    vertex: VertexAI | None,
    run: RunName,
    *,
    builder: Builder = "auto",
    data: Sequence[DataRecord] = (),
) -> JobDescription:
    """The job of this run, all but its image, which isn't built yet.

    Args:
        project: The project; its settings count before those of the block.
        args: Arguments of the training script.
        bucket: Name of the bucket for output.
        vertex: The block of where it will run; None for local_vertex.
        run: The run, whose folder and label the job gets.
        builder: The builder that the run asks for.
        data: The run's data sets, once they are in the bucket.

    Raises:
        DockerError: The project's Dockerfile can't take the arguments.
        ProjectError: The launcher doesn't go with another setting.
    """
    settings, job = project.settings, project.settings.job
    output = run_output(job.output or bucket_folder_uri(bucket, settings.name), run.id)
    if settings.model_dir_argument:
        args = [*args, settings.model_dir_argument, mounted_path(model_folder(output))]
    has_dockerfile = (project.root / "Dockerfile").is_file()
    chosen = (settings.builder or "auto") if builder == "auto" else builder
    placed = place_arguments(settings, args, docker=has_dockerfile and chosen != "direct")
    values = {**folder_values(mounted_path(output), output), **placeholder_values(settings, data)}
    return JobDescription(
        display_name=_display_name(settings.name, run.name, run.id),
        output=output,
        command=fill_all(placed.command, values),
        args=fill_all(placed.args, values),
        env={
            **{name: fill(text, values) for name, text in settings.env.items()},
            **outputs_variable.encode(settings.outputs),
            **launcher_variables(job, local=vertex is None),
            **job_variables(data),
        },
        secret_env=settings.secret_env,
        **{
            **job.options(),
            "labels": {**(vertex.labels if vertex else {}), **job.labels, RUN_LABEL: run.id},
            "service_account": job.service_account or (vertex.service_account if vertex else None),
            "network": job.network or (vertex.network if vertex else None),
            "tensorboard": job.tensorboard or (vertex.tensorboard if vertex else None),
            "persistent_resource": job.persistent_resource or (vertex.persistent_resource if vertex else None),
            "encryption_key": job.encryption_key or (vertex.encryption_key if vertex else None),
        },
    )


def variables_key(settings: Settings) -> list[str]:
    """The part of a job's key for its variables, which are not in its image; nothing where the project sets none."""
    own = {name: text for name, text in settings.env.items() if settings.import_path.get(name) != text}
    sources = {name: str(source) for name, source in settings.secret_env.items()}
    return [json.dumps([own, sources], sort_keys=True)] if own or sources else []


def _display_name(project: str, run_name: str, run: str) -> str:
    """A unique name: run names may repeat, so it ends with the run's id, and is shortened in the middle if too long."""
    end = f" {run[:8]}"
    name = run_name if run_name.startswith(project) else f"{project} {run_name}"
    return name[: DISPLAY_NAME_LIMIT - len(end)] + end


def placeholder_values(settings: Settings, records: Sequence[DataRecord] = ()) -> dict[str, str]:
    """The values of `{data.NAME}` and `{data-uri.NAME}`.

    Args:
        settings: The project's settings.
        records: From the step `data`; before it, the URIs of data that is uploaded are not known.
    """
    paths = {each.name: each.place for each in settings.data}
    uris = {each.name: each.uri for each in settings.data}
    # A place of a fall-back list may have a copy of what lies in a bucket elsewhere.
    paths |= {record.name: record.path or record.mounted for record in records}
    return data_values(paths, uris | {record.name: record.uri for record in records})


def job_variables(records: Sequence[DataRecord]) -> Mapping[str, str]:
    """The variable that tells the runtime of the job's data sets."""
    sets = [
        data_variable.DataSet(
            each.name,
            each.path,
            each.mode,
            each.bucket,
            each.manifest,
            each.mounted,
            each.uri,
            each.id if each.mode == "copy" and not each.manifest else "",
        )
        for each in records
    ]
    return data_variable.encode(sets)
