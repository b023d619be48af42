"""What tuning jobs and training pipelines share: they are read, listed and deleted alike."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

from ...location import Location
from ...store.records import TERMINAL, ResourceRecord
from ...store.store import Store
from ..names import Caller, Names
from ..schema import Generated, Schema
from ..status import ApiError, Code
from .operations import OperationsApi
from .paging import masked, page

V1 = "google.cloud.aiplatform.v1"


class StoredJobs:
    """The methods get, list and delete of one kind of job.

    Attributes:
        kind: The collection in names, as "trainingPipelines".
        title: The message's name, as "TrainingPipeline".
        listed: The field of the list's response.

    Args:
        store: The jobs.
        operations: Made for deletions.
        names: Reads names in requests.
        schema: The message classes.
    """

    kind: ClassVar[str]
    title: ClassVar[str]
    listed: ClassVar[str]

    def __init__(self, *, store: Store, operations: OperationsApi, names: Names, schema: Schema) -> None:
        self._store = store
        self._operations = operations
        self._names = names
        self._schema = schema
        self._message_class = schema[f"{V1}.{self.title}"]
        self._states = self._message_class.DESCRIPTOR.fields_by_name["state"].enum_type.values_by_name

    def get(self, request: Generated, caller: Caller) -> Generated:
        """Reads one."""
        return self._message(*self._find(request.name, caller, "get"))

    def list(self, request: Generated, caller: Caller) -> Generated:
        """Lists them, newest first."""
        from ..queries import compile_jobs

        location = self._names.parent(request.parent, caller, f"aiplatform.{self.kind}.list")

        def find(
            where: str, values: Sequence[object], before: int | None, limit: int
        ) -> list[tuple[int, ResourceRecord]]:
            where, values = f"project = ? AND region = ? AND ({where})", [location.project_id, location.region, *values]
            return self._store.resources.find(self.kind, where, values, before=before, limit=limit)

        states = list(self._states)
        found, token = page(
            request, [self.kind, location.name], lambda text: compile_jobs(text, states, own_table=False), find
        )
        response = self._schema[f"{V1}.List{self.title}sResponse"](next_page_token=token)
        messages = [self._message(record, location) for record in found]
        masked(request.read_mask, messages, getattr(response, self.listed), self._message_class.DESCRIPTOR)
        return response

    def delete(self, request: Generated, caller: Caller) -> Generated:
        """Removes one that has ended; returns an operation that is done."""
        record, location = self._find(request.name, caller, "delete")
        if record.state not in TERMINAL:
            raise ApiError(Code.FAILED_PRECONDITION, self._still_running(request.name))
        operation = self._operations.new_name(location.name)
        self._store.resources.delete(record, operation=operation, now=time.time())
        return self._operations.deletion(operation)

    def _find(self, name: str, caller: Caller, verb: str) -> tuple[ResourceRecord, Location]:
        location, id_ = self._names.resource(self.kind, name, caller, f"aiplatform.{self.kind}.{verb}")
        record = self._store.resources.get(self.kind, location.project_id, location.region, id_)
        if record is None:
            raise ApiError(Code.NOT_FOUND, f"The {self.title} does not exist.")
        return record, location

    def _still_running(self, name: str) -> str:
        """Why one can't be deleted."""
        raise NotImplementedError

    def _message(self, record: ResourceRecord, location: Location) -> Generated:
        """A stored job as the API answers it."""
        raise NotImplementedError
