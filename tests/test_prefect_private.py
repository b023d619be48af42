"""What this package uses of Prefect beyond its public names is as it expects; a change in Prefect fails here."""

from __future__ import annotations

import ast
import asyncio
import inspect
from pathlib import Path

import pytest
from prefect import flow
from prefect.blocks.core import Block
from prefect.context import FlowRunContext
from prefect.results import ResultRecord, ResultRecordMetadata, ResultStore
from prefect.serializers import JSONSerializer, PickleSerializer, Serializer
from prefect.tasks import task
from prefect_vertex_training import prefect_private
from prefect_vertex_training.prefect_private import (
    async_dispatch,
    call_synchronously,
    document_id,
    document_id_in,
    document_name,
    load_document,
    load_saved,
    store_of_step,
)

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = [
    "core",
    "project",
    "images",
    "vertex",
    "local_vertex",
    "blocks",
    "tasks",
    "flows",
    "deployments",
    "cli",
    "sweeps",
]


def private_uses(path: Path) -> list[str]:
    """Imports of Prefect's private modules, and its private names in strings, attributes and keywords."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        private = [name for name in names if name.startswith("prefect.") and "._" in name]
        if isinstance(node, ast.keyword) and node.arg == "_sync":
            private.append("_sync")
        if isinstance(node, ast.Constant) and str(node.value).startswith("_block_document"):
            private.append(str(node.value))
        if isinstance(node, ast.Attribute) and node.attr.startswith(("_block_document", "_from_block")):
            private.append(node.attr)
        found += [f"{path.relative_to(ROOT)}: {name}" for name in private]
    return found


def test_one_module_alone_uses_private_names() -> None:
    """Whoever looks for what a new Prefect may break finds it in one place."""
    files = [ROOT / "prefect_private.py"]
    files += [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    found = [use for path in files for use in private_uses(path)]

    assert found
    assert {use.partition(":")[0] for use in found} == {"prefect_private.py"}


class Saved(Block):
    """A block for these tests."""

    _block_type_slug = "saved-for-tests"
    text: str = "x"


@pytest.mark.prefect
def test_a_saved_block_is_known_by_its_document(prefect_server: str) -> None:
    """Id and name are set by saving, the id stands in a run's parameters, and the block is loaded by it."""
    block = Saved(text="kept")
    assert (document_id(block), document_name(block), document_name(None)) == (None, "", "")
    block.save("mine", overwrite=True)
    saved = document_id(block)

    assert document_name(block) == "mine"
    assert document_id_in({"_block_document_id": saved, "text": "kept"}) == str(saved)
    assert document_id_in({"text": "kept"}) is None
    assert document_id_in("kept") is None
    assert load_document(Saved, str(saved)).text == load_saved(Saved, "mine").text == "kept"

    @flow
    def by_reference(block: Saved) -> tuple[str, object]:
        context = FlowRunContext.get()
        assert context is not None
        return block.text, document_id_in(flow_parameters(context))

    def flow_parameters(context: FlowRunContext) -> object:
        assert context.flow_run is not None
        return context.flow_run.parameters["block"]

    text, shown = by_reference(load_document(Saved, str(saved)))
    assert (text, shown) == ("kept", None) or shown == str(saved)


def test_a_method_has_a_synchronous_and_an_asynchronous_side() -> None:
    """Called in an event loop it is a coroutine; `call_synchronously` forces the plain call there as well."""

    async def aside() -> str:
        return "async"

    @async_dispatch(aside)
    def side() -> str:
        return "sync"

    async def inside() -> tuple[object, object]:
        return await side(), call_synchronously(side)  # pyright: ignore[reportGeneralTypeIssues]

    assert side() == "sync"
    assert asyncio.run(inside()) == ("async", "sync")


@pytest.mark.prefect
def test_a_step_has_a_store_with_its_own_serializer(prefect_server: str) -> None:
    """The store that a task of a flow run would read from."""

    @task(result_serializer="json")
    def step() -> None: ...

    @flow
    def run() -> str:
        context = FlowRunContext.get()
        assert context is not None
        return store_of_step(context, step).serializer.type

    assert run() == "json"


def test_every_reader_of_records_can_be_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Prefect's two functions that decode stored bytes are wrapped, and all of `ResultStore` goes through them."""
    seen: list[tuple[bytes, str]] = []

    def check(data: bytes, reader: Serializer) -> bytes:
        seen.append((data, reader.type))
        return data.replace(b"raw", b"new")

    monkeypatch.setattr(ResultRecord, "deserialize", ResultRecord.deserialize)
    monkeypatch.setattr(ResultRecordMetadata, "load_bytes", ResultRecordMetadata.load_bytes)
    prefect_private.check_stored_results(check)
    record = ResultRecord(result="raw", metadata=ResultRecordMetadata(serializer=JSONSerializer())).serialize()

    assert ResultRecord.deserialize(record, backup_serializer=PickleSerializer()).result == "new"
    assert seen == [(record, "pickle")]
    source = inspect.getsource(ResultStore)
    decoders = ("ResultRecord.deserialize(", "ResultRecord.deserialize_from_result_and_metadata(", ".load_bytes(")
    assert sum(source.count(decoder) for decoder in decoders) == source.count('"read_path"') > 0
    assert "load_bytes(metadata)" in inspect.getsource(ResultRecord.deserialize_from_result_and_metadata)
