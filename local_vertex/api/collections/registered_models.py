"""ModelService for the models that training pipelines leave.

A pipeline with `model_to_upload` registers what its job saved in its model folder. Where that is nothing, the pipeline
fails with NOT_FOUND, as users of the real service report; the text is a plausible choice. Nothing is copied: the
model's `artifact_uri` is the job's folder.
https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.models
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from ...location import Location
from ...store.records import ResourceRecord
from ...store.store import Store
from ..fields.job_times import set_time
from ..names import Caller, Names
from ..schema import Generated, Schema
from ..status import ApiError, Code, Violation, unimplemented
from .operations import OperationsApi
from .paging import masked, page

KIND = "models"
VERSION = "1"
ALIAS = "default"
OUTPUT_ONLY = ("name", "version_id", "version_aliases")
"""Fields of a pipeline's model that the service sets. A version says that the model was registered."""
_V1 = "google.cloud.aiplatform.v1"
_ID = re.compile(r"[a-z_][a-z0-9_-]{0,62}")


class RegisteredModelsApi:
    """The methods, and what registers a pipeline's model.

    Args:
        store: The models.
        operations: Makes the operations of deletions.
        names: Parses names.
        schema: The message classes.
        has_files: Whether there is a file below a gs:// URI.
    """

    def __init__(
        self, *, store: Store, operations: OperationsApi, names: Names, schema: Schema, has_files: Callable[[str], bool]
    ) -> None:
        self._store = store
        self._operations = operations
        self._names = names
        self._schema = schema
        self._has_files = has_files
        self._model = schema[f"{_V1}.Model"]

    # For pipelines

    def violations(self, pipeline: Generated) -> Iterator[Violation]:
        """What is wrong with a pipeline's model.

        Raises:
            ApiError: UNIMPLEMENTED for a further version of a model.
        """
        if pipeline.parent_model:
            raise unimplemented("parent_model", "Each pipeline's model is a model of its own here.")
        if not pipeline.HasField("model_to_upload"):
            return
        if not pipeline.model_to_upload.display_name:
            yield Violation("training_pipeline.model_to_upload.display_name", "The display name is required.")
        if pipeline.model_id and not _ID.fullmatch(pipeline.model_id):
            text = "It may have up to 63 of [a-z0-9_-], and the first must not be a number or a hyphen."
            yield Violation("training_pipeline.model_id", text)

    def register(self, record: ResourceRecord, pipeline: Generated, location: Location, folder: str) -> None:
        """Registers the model of a pipeline whose job has succeeded, once; sets the pipeline's fields about it.

        Args:
            record: The pipeline.
            pipeline: Its message; gets the model's name, or the error that there is none.
            location: Where both are.
            folder: The job's model folder; empty if it has none.
        """
        model = pipeline.model_to_upload
        if pipeline.error.code or model.version_id:
            return  # was decided before
        model.artifact_uri = model.artifact_uri or folder
        if not self._has_files(model.artifact_uri):
            pipeline.error.code = int(Code.NOT_FOUND)
            pipeline.error.message = f'There are no files under "{model.artifact_uri}" to copy.'
        else:
            self._create(record, pipeline, location)
        record.message = pipeline.SerializeToString()
        self._store.resources.save(record)

    def _create(self, record: ResourceRecord, pipeline: Generated, location: Location) -> None:
        model, id_ = pipeline.model_to_upload, pipeline.model_id or record.id
        model.name, model.version_id = f"{location.name}/{KIND}/{id_}", VERSION
        model.version_aliases[:] = [ALIAS]
        whole = self._model.FromString(model.SerializeToString())
        whole.training_pipeline = f"{location.name}/{record.kind}/{record.id}"
        whole.etag = record.id
        now = round(time.time(), 6)
        for field in ("create_time", "update_time", "version_create_time", "version_update_time"):
            set_time(getattr(whole, field), now)
        made = ResourceRecord(
            kind=KIND,
            project=location.project_id,
            region=location.region,
            id=id_,
            display_name=model.display_name,
            labels=dict(model.labels),
            message=whole.SerializeToString(),
            create_time=now,
        )
        if self._store.resources.create(made):
            return
        there = self._store.resources.get(KIND, made.project, made.region, id_)
        if there is not None and self._message(there).training_pipeline != whole.training_pipeline:
            pipeline.error.code = int(Code.ALREADY_EXISTS)
            pipeline.error.message = f"The Model {model.name} already exists."
            for field in OUTPUT_ONLY:
                model.ClearField(field)

    # Methods

    def get(self, request: Generated, caller: Caller) -> Generated:
        """GetModel, also of a version such as `models/1@default`."""
        return self._message(self._find(request.name, caller, "get")[0])

    def list(self, request: Generated, caller: Caller) -> Generated:
        """ListModels: newest first."""
        from ..queries import compile_jobs

        location = self._names.parent(request.parent, caller, "aiplatform.models.list")

        def find(
            where: str, values: Sequence[object], before: int | None, limit: int
        ) -> list[tuple[int, ResourceRecord]]:
            where, values = f"project = ? AND region = ? AND ({where})", [location.project_id, location.region, *values]
            return self._store.resources.find(KIND, where, values, before=before, limit=limit)

        found, token = page(request, [KIND, location.name], lambda text: compile_jobs(text, [], own_table=False), find)
        response = self._schema[f"{_V1}.ListModelsResponse"](next_page_token=token)
        masked(request.read_mask, [self._message(each) for each in found], response.models, self._model.DESCRIPTOR)
        return response

    def list_versions(self, request: Generated, caller: Caller) -> Generated:
        """ListModelVersions: the one that there is."""
        record, _ = self._find(request.name, caller, "get")
        return self._schema[f"{_V1}.ListModelVersionsResponse"](models=[self._message(record)])

    def delete(self, request: Generated, caller: Caller) -> Generated:
        """DeleteModel: removes the model, not its files; returns an operation that is done."""
        record, location = self._find(request.name, caller, "delete")
        operation = self._operations.new_name(location.name)
        self._store.resources.delete(record, operation=operation, now=time.time())
        return self._operations.deletion(operation)

    def _find(self, name: str, caller: Caller, verb: str) -> tuple[ResourceRecord, Location]:
        plain, _, version = name.partition("@")
        location, id_ = self._names.resource(KIND, plain, caller, f"aiplatform.models.{verb}")
        record = self._store.resources.get(KIND, location.project_id, location.region, id_)
        if record is None or version not in {"", VERSION, ALIAS}:
            raise ApiError(Code.NOT_FOUND, f"The Model {name} does not exist.")
        return record, location

    def _message(self, record: ResourceRecord) -> Generated:
        return self._model.FromString(record.message)


def model_folder(inputs: Any) -> str:  # noqa: ANN401 - JSON that was valid when the job was created
    """The model folder of a custom task's job, as a gs:// URI; empty if it has no output folder."""
    with suppress(TypeError, AttributeError, KeyError):
        base = inputs.get("baseOutputDirectory") or inputs["base_output_directory"]
        uri = str(base.get("outputUriPrefix") or base["output_uri_prefix"])
        return f"{uri.rstrip('/')}/model"
    return ""
