"""Results of steps that Prefect keeps: JSON with the type and version of what it holds, checked when it is read.

A record in Prefect's result storage names the serializer that decodes it, and Prefect uses whichever it names. Some run
code: `pickle`, or `json` with a function of the writer's choice. Anyone who may write to a shared storage could so run
code on every worker. Therefore a record of this package's steps and flows is decoded only if it names exactly the
serializer of its reader. Any other is set aside with one line in the log, and the step is done again. That includes
records that an earlier version of this package wrote.
"""

from __future__ import annotations

import contextlib
import json
import logging
from dataclasses import asdict, is_dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from prefect.context import TaskRunContext
from prefect.serializers import Serializer
from pydantic import Field, TypeAdapter, ValidationError, create_model

from ..core import errors
from ..core.errors import ResultError, StorageError, TrainingError
from ..core.security.parsed_text import parse_json
from ..core.security.private_folder import make_private
from ..prefect_private import check_stored_results
from .reporting.step_log import step_log

PACKAGE = __name__.split(".", maxsplit=1)[0]

_DOCUMENTS = ({"holds", "version", "value"}, {"holds", "version", "error"})
_TYPE = "vertex-training"
_METADATA = frozenset({"storage_key", "expiration", "serializer", "prefect_version", "storage_block_id"})


class StepResult(Serializer):
    """Prefect serializer for one type of result; `step_result` makes one.

    Attributes:
        type: Names the type of the result and its version. Prefect's API keeps nothing else of a serializer.
        holds: The dataclass of the result, as a path inside this package ("flows.result.TrainingResult"), or "str".
        version: Version of that class's fields; results of other versions are refused.
    """

    type: str = Field(default=_TYPE, frozen=True)
    holds: ClassVar[str] = "str"
    version: ClassVar[int] = 1

    def dumps(self, obj: Any) -> bytes:  # noqa: ANN401 - Prefect's signature
        """Encodes a result, or the exception that ended a step.

        Raises:
            TypeError: It is of another type.
        """
        if isinstance(obj, BaseException):
            return self._document(error=_encoded_error(obj))
        if not isinstance(obj, self._class()):
            raise TypeError(f"a result of type {type(obj).__name__} where {self.holds} was expected")
        return self._document(value=_plain(obj))

    def loads(self, blob: bytes) -> Any:  # noqa: ANN401 - Prefect's signature
        """Decodes a result; an exception comes back as an exception.

        Raises:
            ResultError: It has another type, version or form.
        """
        document = _json_object(blob)
        if (document.get("holds"), document.get("version")) != (self.holds, self.version):
            raise _refused(f"it holds {document.get('holds')} of version {document.get('version')}")
        if "error" in document:
            return _decoded_error(document["error"])
        try:
            found = _adapter(self._class()).validate_json(json.dumps(document.get("value")), strict=True)
        except ValidationError as error:
            raise _refused(f"it is no {self.holds}: {error.errors()[0]['msg']}") from None
        # Pydantic fills in missing fields and ignores unknown ones: both are signs of another version.
        if _json_object(self._document(value=_plain(found))) != document:
            raise _refused(f"it has other fields than {self.holds}")
        return found

    def _document(self, **content: Any) -> bytes:  # noqa: ANN401 - JSON
        return json.dumps({"holds": self.holds, "version": self.version, **content}).encode()

    def _class(self) -> type[Any]:
        if self.holds == "str":
            return str
        module, _, name = self.holds.rpartition(".")
        return getattr(import_module(f"{PACKAGE}.{module}"), name)


@cache
def step_result(holds: str, version: int = 1) -> StepResult:
    """The serializer for results of one type.

    Args:
        holds: The dataclass of the result, as a path inside this package, or "str".
        version: To be raised when a change of the class makes older results unusable.
    """
    name = f"{_TYPE}:{holds}:{version}"
    # Prefect finds a serializer by its `type`, so each type needs a class of its own.
    made = create_model(name, __base__=StepResult, type=(str, Field(default=name, frozen=True)))
    made.holds, made.version = holds, version
    return made()


@cache
def _adapter(holds: type[Any]) -> TypeAdapter[Any]:
    """Made once for each type: that takes longer than to decode a small result."""
    return TypeAdapter(holds)


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _encoded_error(error: BaseException) -> dict[str, Any] | str:
    """Our errors with all their arguments; of any other only the text."""
    if type(error) is _error_class(type(error).__name__) and isinstance(error, TrainingError):
        return {"class": type(error).__name__, **error.arguments()}
    return f"{type(error).__name__}: {error}"


def _decoded_error(encoded: object) -> TrainingError | str:
    """An error of `core.errors`; a text, for which Prefect has an exception of its own.

    Raises:
        ResultError: It is neither.
    """
    if isinstance(encoded, str):
        return encoded
    arguments = dict(encoded) if isinstance(encoded, dict) else {}
    error_class = _error_class(str(arguments.pop("class", "")))
    plain = all(isinstance(value, (str, int, float, type(None))) for value in arguments.values())
    if error_class is None or not plain:
        raise _refused("it holds an unknown error")
    try:
        return error_class(**arguments)
    except TypeError:
        raise _refused("it holds an error with other fields") from None


def _error_class(name: str) -> type[TrainingError] | None:
    found = getattr(errors, name, None)
    return found if isinstance(found, type) and issubclass(found, TrainingError) else None


def checked(data: bytes, reader: Serializer) -> bytes:
    """The record for Prefect to decode; what readers with other serializers than a `StepResult` read passes unchanged.

    Raises:
        ResultError: The record names another serializer than its reader's, or is no record of one.
    """
    if not reader.type.startswith(_TYPE):
        return data
    try:
        if not isinstance(reader, StepResult):
            raise _refused(f"nothing here defines {reader.type}")
        record = _json_object(data)
        if record.keys() in _DOCUMENTS:  # Prefect stores results of flows without metadata
            reader.loads(data)
            return json.dumps(record).encode()
        metadata = record.get("metadata", record)
        _check_metadata(metadata, reader)
        if metadata is not record:
            _check_result(record, reader)
    except ResultError as error:
        _report(error, reader)
        raise
    # Written anew: what was checked is what Prefect decodes, even if the data has a key twice.
    return json.dumps(record).encode()


def _check_metadata(metadata: object, reader: StepResult) -> None:
    if not isinstance(metadata, dict) or not metadata.keys() <= _METADATA:
        raise _refused("it is no record of a result")
    named = metadata.get("serializer")
    if named != reader.model_dump():
        kind = named.get("type") if isinstance(named, dict) else named
        raise _refused(f"it names the serializer {str(kind)[:40]!r}, or another version")


def _check_result(record: dict[str, Any], reader: StepResult) -> None:
    # Prefect also reads an older form, whose top-level keys replace those of the metadata.
    if record.keys() != {"metadata", "result"} or not isinstance(record["result"], str):
        raise _refused("it is no record of a result")
    reader.loads(record["result"].encode())


def _json_object(data: bytes) -> dict[str, Any]:
    try:
        found = parse_json(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _refused("it is not JSON")
    return found


def _refused(why: str) -> ResultError:
    return ResultError(f"a kept result can't be used: {why}", next_step="Run again: the step is then done again")


def _report(error: ResultError, reader: Serializer) -> None:
    """One line in the run's log, where a step is about to be done again."""
    context = TaskRunContext.get()
    if context is not None and context.result_store.serializer == reader:
        step = context.task.name
        step_log(step, level=logging.WARNING)(f"{error.what}; {step} is done again")


check_stored_results(checked)


def keep_results_private() -> None:
    """Makes Prefect's folder of results on this machine its owner's alone; one that can't be is left as it is."""
    from prefect.settings import PREFECT_LOCAL_STORAGE_PATH

    with contextlib.suppress(OSError, StorageError):
        make_private(Path(PREFECT_LOCAL_STORAGE_PATH.value()))
