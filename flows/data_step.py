"""The data sets of a run: the step that brings them to the bucket, and what the job and its arguments get of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..core.output_folders import mounted_path
from ..core.placeholders import data_values
from ..project.settings.settings import Settings
from ..project.snapshot import Project
from ..runtime import data_variable
from ..vertex.client.connection import Connection
from .step_runner import Steps

if TYPE_CHECKING:
    from ..datasets.data_record import DataRecord


def run_data_step(steps: Steps, project: Project, connection: Connection) -> list[DataRecord]:
    """Runs the step, if the project has data sets."""
    if not project.settings.data:
        return []
    from ..tasks.data import data

    return steps.run(data, project, connection).sets


def placeholder_values(settings: Settings, records: Sequence[DataRecord] = ()) -> dict[str, str]:
    """The values of `{data.NAME}` and `{data-uri.NAME}`.

    Args:
        settings: The project's settings.
        records: From `run_data_step`; before it, the URIs of data that is uploaded are not known.
    """
    paths = {each.name: each.path or mounted_path(each.uri) for each in settings.data}
    uris = {each.name: each.uri for each in settings.data}
    return data_values(paths, {**uris, **{record.name: record.uri for record in records}})


def job_variables(records: Sequence[DataRecord]) -> Mapping[str, str]:
    """The variable that tells the runtime of the job's data sets."""
    sets = [
        data_variable.DataSet(each.name, each.path, each.mode, each.bucket, each.manifest, each.mounted, each.uri)
        for each in records
    ]
    return data_variable.encode(sets)
