"""Everything that this package uses of Prefect beyond its public names.

Prefect may change any of it in a minor release, so no other module touches it, and
`tests/test_prefect_private.py` fails when it changes. `flows/trials/child_run.py` extends Prefect's engine for flow
runs by its public names, and has tests of its own for that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import UUID

from prefect._internal.compatibility.async_dispatch import async_dispatch
from prefect._internal.control_listener import get_intent
from prefect.blocks.core import Block
from prefect.context import FlowRunContext, TaskRunContext, _temporary_global_settings_context, get_settings_context
from prefect.results import (
    ResultRecord,  # pyright: ignore[reportPrivateImportUsage]
    ResultRecordMetadata,  # pyright: ignore[reportPrivateImportUsage]
    ResultStore,
)
from prefect.serializers import Serializer
from prefect.tasks import Task

__all__ = ["async_dispatch"]

B = TypeVar("B", bound=Block)

RecordCheck = Callable[[bytes, Serializer], bytes]
"""Gets stored bytes and the serializer of their reader; returns the bytes to decode, or raises to refuse them."""


def call_synchronously(method: Callable[..., Any], *args: object) -> Any:  # noqa: ANN401 - the method's own result
    """Calls the synchronous side of a method made with `async_dispatch`, in whatever thread."""
    return method(*args, _sync=True)


def cancel_was_requested() -> bool:
    """Whether the runner or worker of this process is about to end it, because its flow run was cancelled."""
    return get_intent() == "cancel"


def document_id(block: Block) -> UUID | None:
    """The id of the document that a block was saved as; None for a block that was not saved."""
    return block._block_document_id  # noqa: SLF001


def document_name(block: Block | None) -> str:
    """The name of the document that a block was saved as; empty for a block that was not saved."""
    return str(getattr(block, "_block_document_name", None) or "")


def document_id_in(parameter: object) -> str | None:
    """The document's id in a flow run's parameter, where Prefect put a saved block; None for other values."""
    saved = parameter.get("_block_document_id") if isinstance(parameter, dict) else None
    return str(saved) if saved else None


def load_document(block_class: type[B], document: str) -> B:
    """Loads a saved block by its document's id.

    Raises:
        ValueError: There is no such document.
        RuntimeError: The saved values do not pass the block's validation.
    """
    return block_class.load_from_ref({"block_document_id": document}, _sync=True)  # pyright: ignore[reportCallIssue]


@contextmanager
def global_settings() -> Iterator[None]:
    """Gives the temporary settings of this thread to all threads: Prefect's own would not see them."""
    with _temporary_global_settings_context(get_settings_context()):
        yield


def load_saved(block_class: type[B], name: str) -> B:
    """Loads a saved block by its name, also where an event loop runs in this thread.

    Raises:
        ValueError: There is no such block.
    """
    return block_class.load(name, _sync=True)  # pyright: ignore[reportCallIssue]


def store_of_step(context: FlowRunContext, step: Task[..., Any]) -> ResultStore:
    """The result store that a task has in this flow run."""
    # Without `_sync` Prefect returns a coroutine when an event loop runs in this thread.
    return context.result_store.update_for_task(step, _sync=True)  # pyright: ignore[reportCallIssue]


def check_stored_results(check: RecordCheck) -> None:
    """Makes Prefect check stored results before it decodes them, for the rest of this process.

    A stored result names the serializer that decodes it, and some serializers run code of the writer's choice. Prefect
    offers no hook before that, so its two functions that decode stored bytes are wrapped. They cover results of tasks
    and flows in every storage, because all of Prefect's readers end there.

    Args:
        check: Called with the bytes of a record, or of its metadata where those are stored apart.
    """
    deserialize, load_bytes = ResultRecord.deserialize.__func__, ResultRecordMetadata.load_bytes.__func__

    def checked_deserialize(
        cls: type[ResultRecord[Any]], data: bytes, backup_serializer: Serializer | None = None
    ) -> ResultRecord[Any]:
        reader = backup_serializer or _reader()
        return deserialize(cls, check(data, reader) if reader else data, backup_serializer)

    def checked_load_bytes(cls: type[ResultRecordMetadata], data: bytes) -> ResultRecordMetadata:
        reader = _reader()
        return load_bytes(cls, check(data, reader) if reader else data)

    ResultRecord.deserialize = classmethod(checked_deserialize)  # pyright: ignore[reportAttributeAccessIssue]
    ResultRecordMetadata.load_bytes = classmethod(checked_load_bytes)  # pyright: ignore[reportAttributeAccessIssue]


def _reader() -> Serializer | None:
    """The serializer of the task or flow that runs now."""
    context = TaskRunContext.get() or FlowRunContext.get()
    return context.result_store.serializer if context else None
