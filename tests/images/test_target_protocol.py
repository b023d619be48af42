"""Image targets: callers never ask for their class, and each target keeps the protocol's promises."""

from __future__ import annotations

import ast
import inspect
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.images.registry_server import RegistryServer
from fixtures.images.stored_images import make_image
from prefect_vertex_training.images.oci.config import OCI
from prefect_vertex_training.images.oci.image_types import Descriptor
from prefect_vertex_training.images.oci.layout import OciLayout
from prefect_vertex_training.images.oci.reference import Reference
from prefect_vertex_training.images.oci.target import ImageTarget
from prefect_vertex_training.images.oci.verifying_reader import sha256
from prefect_vertex_training.images.push import push
from prefect_vertex_training.images.registry.repository import Repository

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("blocks", "cli", "core", "deployments", "flows", "images", "local_vertex", "project", "tasks", "vertex")
MEMBERS = {name for name, _ in inspect.getmembers(ImageTarget) if not name.startswith("_")}


def syntax_trees() -> Iterator[tuple[Path, ast.Module]]:
    """Each module of the package, parsed."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT), ast.parse(path.read_text())


def members(node: ast.ClassDef) -> set[str]:
    """A class's methods, and the attributes that they set."""
    return {part.name for part in node.body if isinstance(part, ast.FunctionDef)} | {
        part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store)
    }


def target_classes() -> set[str]:
    """The protocol's name, and that of every class in the package with all its members."""
    return {
        node.name
        for _, tree in syntax_trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and members(node) >= MEMBERS
    }


def class_questions(tree: ast.Module) -> Iterator[ast.AST]:
    """The parts of a module that name a class to ask for: of isinstance, issubclass, `type(x) is`, and `case`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in {"isinstance", "issubclass"}:
                yield from node.args[1:]
        elif isinstance(node, ast.Compare):
            yield from node.comparators
        elif isinstance(node, ast.MatchClass):
            yield node.cls


def names(node: ast.AST) -> set[str]:
    """All names in an expression, with those of attributes."""
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)} | {
        part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)
    }


def test_no_module_asks_for_the_class_of_a_target() -> None:
    """What differs between targets is a method of the protocol, so a third kind needs no change elsewhere."""
    classes = target_classes()
    assert {"ImageTarget", "OciLayout", "Repository"} <= classes

    found = [
        f"{path}:{node.lineno}"  # pyright: ignore[reportAttributeAccessIssue] - expressions and patterns have one
        for path, tree in syntax_trees()
        for node in class_questions(tree)
        if names(node) & classes
    ]
    assert found == []


@pytest.fixture(params=["layout", "registry"])
def target(request: pytest.FixtureRequest, tmp_path: Path, open_registry: RegistryServer) -> ImageTarget:
    """An empty target of each kind."""
    if request.param == "layout":
        return OciLayout(tmp_path / "target", "thing")
    return Repository(Reference(open_registry.host, f"t{os.urandom(6).hex()}/thing"))


def test_blobs_and_manifests_are_read_as_they_were_stored(target: ImageTarget, tmp_path: Path) -> None:
    """An image of each kind of blob is absent before, and whole after a push."""
    source = OciLayout(tmp_path / "source", "thing")
    image = make_image(source, 1000, 700_000)
    assert target.head_manifest("v1") is None
    assert target.get_manifest(image.digest) is None

    pushed = push(image, source, target, tags=["v1"])
    found = target.get_manifest("v1")
    expected = source.get_manifest(image.digest)

    assert found is not None
    assert expected is not None
    assert found[1] == expected[1]
    assert target.head_manifest(image.digest) == target.head_manifest("v1")
    assert pushed.reference == target.reference(image.digest)
    assert all(target.has_blob(layer.digest) for layer in pushed.layers)


@pytest.mark.parametrize("store", ["put_blob", "upload_blob"])
def test_both_ways_to_store_a_blob_check_it(target: ImageTarget, store: str) -> None:
    """`upload_blob` saves the question whether the blob exists, and nothing else."""
    data = os.urandom(1000)
    blob = Descriptor(OCI.layer, sha256(data), len(data))
    getattr(target, store)(blob, lambda: io.BytesIO(data))

    with target.open_blob(blob.digest) as body:
        assert body.read() == data
    wrong = Descriptor(OCI.layer, sha256(b"other"), len(data))
    with pytest.raises(Exception, match="wanted"):
        getattr(target, store)(wrong, lambda: io.BytesIO(data))
    assert not target.has_blob(wrong.digest)


def test_blobs_are_mounted_only_within_one_registry(target: ImageTarget, tmp_path: Path) -> None:
    """A source on another host or on this disk can't be linked, whichever target is asked."""
    source = OciLayout(tmp_path / "source", "base")
    digest = make_image(source, 10).digest
    blob = Descriptor(OCI.layer, digest, 10)

    assert not target.mount_blob(blob, source)
    assert not target.mount_blob(blob, Repository(Reference("registry.example.com", "base")))


def test_prepared_uploads_can_always_be_discarded(target: ImageTarget) -> None:
    """Also where none was prepared, and twice."""
    target.discard_uploads()
    target.prepare_uploads(1)
    target.discard_uploads()
    target.discard_uploads()

    assert target.head_manifest("v1") is None
