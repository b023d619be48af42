"""PersistentResourceService, as far as custom jobs name persistent resources: create, get, list and delete.

On this machine a persistent resource is ready at once; a job that names one doesn't wait for machines.
https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.persistentResources
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from ...location import Location
from ...store.records import ResourceRecord
from ...store.store import Store
from ..fields.boot_disk import fill_in
from ..fields.job_times import set_time
from ..fields.label_rule import label_violations
from ..fields.machines import machine_violations
from ..names import Caller, Names
from ..schema import Generated, Schema
from ..status import ApiError, Code, Violation, invalid
from .operations import OperationsApi
from .paging import page

KIND = "persistentResources"
_V1 = "google.cloud.aiplatform.v1"
_ID = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
_ID_RULE = (
    "persistent_resource_id can only contain numbers, lower case letters and hyphens. The first character must be a"
    " letter, and the last character must be a letter or number."
)
_OUTPUT_ONLY = ("name", "state", "error", "create_time", "start_time", "update_time", "resource_runtime")


class PersistentResourcesApi:
    """The methods.

    Args:
        store: The resources.
        operations: Makes their operations.
        names: Parses names.
        schema: The message classes.
    """

    def __init__(self, *, store: Store, operations: OperationsApi, names: Names, schema: Schema) -> None:
        self._store = store
        self._operations = operations
        self._names = names
        self._schema = schema
        self._message_class = schema[f"{_V1}.PersistentResource"]

    def create(self, request: Generated, caller: Caller) -> Generated:
        """CreatePersistentResource: the resource is ready; the answer is the operation as it was when it began."""
        location = self._names.parent(request.parent, caller, "aiplatform.persistentResources.create")
        resource, id_ = request.persistent_resource, request.persistent_resource_id
        for field in _OUTPUT_ONLY:
            resource.ClearField(field)
        violations = list(_violations(resource, id_))
        if violations:
            raise invalid(violations, ending="\t")
        resource.display_name = resource.display_name or id_
        for pool in resource.resource_pools:
            pool.id = pool.id or pool.machine_spec.machine_type
            fill_in(pool.disk_spec, pool.machine_spec.machine_type)
        now = round(time.time(), 6)
        record = ResourceRecord(
            kind=KIND,
            project=location.project_id,
            region=location.region,
            id=id_,
            display_name=resource.display_name,
            labels=dict(resource.labels),
            state="RUNNING",
            message=resource.SerializeToString(),
            create_time=now,
        )
        if not self._store.resources.create(record):
            raise ApiError(Code.ALREADY_EXISTS, f"The PersistentResource {id_} already exists.")
        return self._creation(record, location)

    def get(self, request: Generated, caller: Caller) -> Generated:
        """GetPersistentResource."""
        return self._message(*self._find(request.name, caller, "get"))

    def list(self, request: Generated, caller: Caller) -> Generated:
        """ListPersistentResources: newest first."""
        location = self._names.parent(request.parent, caller, "aiplatform.persistentResources.list")

        def find(_where: str, _values: object, before: int | None, limit: int) -> list[tuple[int, ResourceRecord]]:
            values = [location.project_id, location.region]
            return self._store.resources.find(KIND, "project = ? AND region = ?", values, before=before, limit=limit)

        found, token = page(request, [KIND, location.name], lambda _: ("1", []), find)
        response = self._schema[f"{_V1}.ListPersistentResourcesResponse"](next_page_token=token)
        response.persistent_resources.extend(self._message(record, location) for record in found)
        return response

    def delete(self, request: Generated, caller: Caller) -> Generated:
        """DeletePersistentResource: returns an operation that is done."""
        record, location = self._find(request.name, caller, "delete")
        name = self._operations.new_name(location.name)
        self._store.resources.delete(record, operation=name, now=time.time())
        return self._operations.deletion(name)

    def _find(self, name: str, caller: Caller, verb: str) -> tuple[ResourceRecord, Location]:
        location, id_ = self._names.resource(KIND, name, caller, f"aiplatform.persistentResources.{verb}")
        record = self._store.resources.get(KIND, location.project_id, location.region, id_)
        if record is None:
            raise ApiError(Code.NOT_FOUND, "The PersistentResource does not exist.")
        return record, location

    def _creation(self, record: ResourceRecord, location: Location) -> Generated:
        """Stores the operation that is done; returns it as the real service first answers, not done."""
        parent = f"{location.name}/{KIND}/{record.id}"
        operation = self._schema["google.longrunning.Operation"](name=self._operations.new_name(parent))
        metadata = self._schema[f"{_V1}.CreatePersistentResourceOperationMetadata"]()
        for field in ("create_time", "update_time"):
            set_time(getattr(metadata.generic_metadata, field), record.create_time)
        started = self._schema["google.longrunning.Operation"](name=operation.name)
        metadata.progress_message = (
            "Create PersistentResource request received. Checking project configuration and quota..."
        )
        started.metadata.Pack(metadata)
        metadata.progress_message = "Your persistent resource is ready."
        operation.metadata.Pack(metadata)
        operation.done = True
        operation.response.Pack(self._message_class(name=parent))
        self._operations.add(operation)
        return started

    def _message(self, record: ResourceRecord, location: Location) -> Generated:
        message = self._message_class.FromString(record.message)
        message.name = f"{location.name}/{KIND}/{record.id}"
        message.state = message.DESCRIPTOR.fields_by_name["state"].enum_type.values_by_name["RUNNING"].number
        message.error.SetInParent()  # the real service answers an empty error while a resource is healthy
        for field in ("create_time", "start_time", "update_time"):
            set_time(getattr(message, field), record.create_time)
        return message


def _violations(resource: Generated, id_: str) -> Iterator[Violation]:
    if not _ID.fullmatch(id_):
        yield Violation("persistent_resource_id", _ID_RULE)
    yield from label_violations(resource.labels, "persistent_resource.labels")
    # The real service was seen to name these two alone although there was no pool either.
    if not resource.resource_pools and _ID.fullmatch(id_) and not resource.labels:
        yield Violation("persistent_resource.resource_pools", "At least one resource pool is required.")
    for number, pool in enumerate(resource.resource_pools):
        yield from machine_violations(pool.machine_spec, f"persistent_resource.resource_pools[{number}].machine_spec")
