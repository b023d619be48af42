"""Long-running operations: google.longrunning.Operations. All of them are done when their method answers."""

from __future__ import annotations

import secrets
import time

from ...store.store import Store
from ..fields.job_times import set_time
from ..names import Caller, Names
from ..schema import Generated, Schema
from ..status import ApiError, Code, Violation, invalid
from .paging import page

_V1 = "google.cloud.aiplatform.v1"


class OperationsApi:
    """Methods and makers of operations.

    Args:
        store: Keeps them.
        names: Parses names.
        schema: The message classes.
    """

    def __init__(self, *, store: Store, names: Names, schema: Schema) -> None:
        self._store = store
        self._names = names
        self._schema = schema

    # Methods

    def get(self, request: Generated, caller: Caller) -> Generated:
        """Operations.GetOperation."""
        return self._operation(self._name(request.name, caller, "get"))

    def wait(self, request: Generated, caller: Caller) -> Generated:
        """Operations.WaitOperation: every operation is done, so it answers at once."""
        return self._operation(self._name(request.name, caller, "wait"))

    def list(self, request: Generated, caller: Caller) -> Generated:
        """Operations.ListOperations, of a location or of a resource."""
        parent = self._name(request.name, caller, "list")
        if request.filter.strip() not in {"", "done=true", "done = true", "done=True"}:
            text = f"`{request.filter}` is not supported: every operation is done, use `done=true` or no filter."
            raise invalid([Violation("filter", text)])

        def find(_where: str, _values: object, before: int | None, limit: int) -> list[tuple[int, str]]:
            return self._store.resources.operations(f"{parent}/operations/", skip=before or 0, limit=limit)

        found, token = page(request, ["operations", parent], lambda _: ("1", []), find)
        response = self._schema["google.longrunning.ListOperationsResponse"](next_page_token=token)
        response.operations.extend(self._operation(name) for name in found)
        return response

    def cancel(self, request: Generated, caller: Caller) -> Generated:
        """Operations.CancelOperation: no operation can be cancelled, because each is done."""
        self._name(request.name, caller, "cancel")
        raise ApiError(Code.FAILED_PRECONDITION, f"Operation {request.name} is not cancellable.")

    def delete(self, request: Generated, caller: Caller) -> Generated:
        """Operations.DeleteOperation."""
        name = self._name(request.name, caller, "delete")
        if not self._store.resources.delete_operation(name):
            raise ApiError(Code.NOT_FOUND, "The Operation does not exist.")
        return self._schema["google.protobuf.Empty"]()

    # For other methods

    def new_name(self, parent: str) -> str:
        """A name for a new operation of a location or a resource."""
        return f"{parent}/operations/{secrets.randbelow(9 * 10**18) + 10**18}"

    def deletion(self, name: str) -> Generated:
        """The operation of a deletion that is done.

        Raises:
            ApiError: NOT_FOUND if there is no such operation.
        """
        created = self._store.operation(name)
        if created is None:
            raise ApiError(Code.NOT_FOUND, "The Operation does not exist.")
        operation = self._schema["google.longrunning.Operation"](name=name, done=True)
        metadata = self._schema[f"{_V1}.DeleteOperationMetadata"]()
        set_time(metadata.generic_metadata.create_time, created)
        set_time(metadata.generic_metadata.update_time, created)
        operation.metadata.Pack(metadata)
        operation.response.Pack(self._schema["google.protobuf.Empty"]())
        return operation

    def add(self, operation: Generated) -> None:
        """Stores an operation that is done."""
        self._store.resources.add_operation(operation.name, operation.SerializeToString(), time.time())

    def _operation(self, name: str) -> Generated:
        message = self._store.resources.operation_message(name)
        if message is None:
            return self.deletion(name)
        return self._schema["google.longrunning.Operation"].FromString(message)

    def _name(self, name: str, caller: Caller, verb: str) -> str:
        """The name with the project's number, as it is stored."""
        location, slash, rest = _split(name)
        found = self._names.parent(location, caller, f"aiplatform.operations.{verb}", "name")
        return f"{found.name}{slash}{rest}"


def _split(name: str) -> tuple[str, str, str]:
    parts = name.split("/", 4)
    return "/".join(parts[:4]), "/" if len(parts) == 5 else "", parts[4] if len(parts) == 5 else ""
