"""The parts of the API that few clients call: their modules are imported when one is called, and a start needs none."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from .deferred_imports import DeferredObject

if TYPE_CHECKING:
    from .api.collections.operations import OperationsApi
    from .api.collections.persistent_resources import PersistentResourcesApi
    from .api.collections.registered_models import RegisteredModelsApi
    from .api.collections.training_pipelines import TrainingPipelinesApi
    from .api.collections.tuning_jobs import TuningJobsApi
    from .api.collections.written_entries import WrittenEntriesApi
    from .api.jobs import JobsApi
    from .api.names import Names
    from .api.schema import Schema
    from .location import Locations
    from .store.store import Store
    from .tuning.tuner import StoredTuner


class FurtherApis:
    """The APIs; the first call of one of its methods makes each.

    Args:
        store: Their resources.
        jobs: Makes custom jobs.
        operations: Makes the operations of deletions.
        names: Parses names.
        schema: The message classes.
        locations: The projects and regions that are served.
        buckets: The folder with one folder for each bucket.

    Attributes:
        tuner: Runs tuning jobs.
        tuning: Hyperparameter tuning jobs.
        models: The models that training pipelines register.
        pipelines: Training pipelines.
        persistent: Persistent resources.
        written: The log entries that clients write.
    """

    def __init__(
        self,
        *,
        store: Store,
        jobs: JobsApi,
        operations: OperationsApi,
        names: Names,
        schema: Schema,
        locations: Locations,
        buckets: Path,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._operations = operations
        self._names = names
        self._schema = schema
        self._locations = locations
        self._buckets = buckets
        self.tuner = cast("StoredTuner", DeferredObject(self._make_tuner))
        self.tuning = cast("TuningJobsApi", DeferredObject(self._make_tuning))
        self.models = cast("RegisteredModelsApi", DeferredObject(self._make_models))
        self.pipelines = cast("TrainingPipelinesApi", DeferredObject(self._make_pipelines))
        self.persistent = cast("PersistentResourcesApi", DeferredObject(self._make_persistent))
        self.written = cast("WrittenEntriesApi", DeferredObject(self._make_written))

    def _make_tuning(self) -> TuningJobsApi:
        from .api.collections.tuning_jobs import TuningJobsApi

        return TuningJobsApi(
            store=self._store, tuner=self.tuner, operations=self._operations, names=self._names, schema=self._schema
        )

    def _make_pipelines(self) -> TrainingPipelinesApi:
        from .api.collections.training_pipelines import TrainingPipelinesApi

        return TrainingPipelinesApi(
            store=self._store,
            jobs=self._jobs,
            models=self.models,
            operations=self._operations,
            names=self._names,
            schema=self._schema,
        )

    def _make_persistent(self) -> PersistentResourcesApi:
        from .api.collections.persistent_resources import PersistentResourcesApi

        return PersistentResourcesApi(
            store=self._store, operations=self._operations, names=self._names, schema=self._schema
        )

    def _make_written(self) -> WrittenEntriesApi:
        from .api.collections.written_entries import WrittenEntriesApi

        return WrittenEntriesApi(store=self._store, locations=self._locations, schema=self._schema)

    def _make_models(self) -> RegisteredModelsApi:
        from .api.collections.registered_models import RegisteredModelsApi

        return RegisteredModelsApi(
            store=self._store,
            operations=self._operations,
            names=self._names,
            schema=self._schema,
            has_files=partial(_has_files, self._buckets),
        )

    def _make_tuner(self) -> StoredTuner:
        from .tuning.tuner import StoredTuner

        return StoredTuner(
            store=self._store,
            jobs=self._jobs,
            schema=self._schema,
            locations=self._locations,
            read_file=partial(_read_file, self._buckets),
        )


def _has_files(buckets: Path, uri: str) -> bool:
    """Whether there is a file below a gs:// URI."""
    if not uri.startswith("gs://"):
        return False
    root = buckets / uri.removeprefix("gs://")
    return ".." not in root.parts and any(files for _, _, files in os.walk(root))


def _read_file(buckets: Path, uri: str) -> str:
    """The text of a file in a bucket; empty where there is none."""
    try:
        return (buckets / uri.removeprefix("gs://")).read_text("utf-8", errors="replace")
    except OSError:
        return ""
