"""The plan of an image: which builder, which base, where it goes, and what changes its fingerprint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixtures.images.stored_images import make_base
from prefect_vertex_training.core.errors import BaseImageError, DependencyError
from prefect_vertex_training.images.base.default_images import CONDA_BASE
from prefect_vertex_training.images.oci.content_tag import image_tag
from prefect_vertex_training.images.oci.image_types import ImageRequest
from prefect_vertex_training.images.oci.layout import OciLayout
from prefect_vertex_training.images.oci.reference import Reference
from prefect_vertex_training.images.plan import BaseLookup, ImagePlan, choose_builder, complete_request, plan_direct
from prefect_vertex_training.images.registry.repository import Repository


def described(root: Path, **changes: Any) -> ImageRequest:
    """A project's request before it is planned."""
    return replace(ImageRequest("demo", root, [], "train.py", "", "3.11"), **changes)


@pytest.mark.parametrize(
    ("changes", "choice", "builder"),
    [
        ({}, "auto", "direct"),
        ({"dockerfile": Path("Dockerfile")}, "auto", "docker"),
        ({"conda": "environment.yml"}, "auto", "docker"),
        ({"dockerfile": Path("Dockerfile")}, "direct", "direct"),
        ({}, "docker", "docker"),
        ({"conda": "environment.yml"}, "docker", "docker"),
    ],
)
def test_builder(changes: dict[str, Any], choice: Any, builder: str, tmp_path: Path) -> None:
    """Docker for a Dockerfile or a conda list, else direct; a choice takes precedence."""
    assert choose_builder(described(tmp_path, **changes), choice) == builder


def test_the_direct_builder_refuses_conda(tmp_path: Path) -> None:
    """Names the list and the two ways out."""
    with pytest.raises(DependencyError, match=r"environment\.yml is conda's.*Leave --builder out.*--translate"):
        choose_builder(described(tmp_path, conda="environment.yml"), "direct")


@pytest.mark.parametrize(
    ("changes", "builder", "needs_base", "base"),
    [
        ({}, "direct", False, None),
        ({}, "direct", True, "docker.io/library/python:3.11-slim"),
        ({}, "docker", False, "docker.io/library/python:3.11-slim"),
        ({"conda": "environment.yml"}, "docker", False, CONDA_BASE),
        ({"base": "gcr.io/p/base:1"}, "direct", False, "gcr.io/p/base:1"),
        ({"base": "gcr.io/p/base:1", "python": "3.20"}, "docker", True, "gcr.io/p/base:1"),
    ],
)
def test_base(changes: dict[str, Any], builder: Any, needs_base: bool, base: str | None, tmp_path: Path) -> None:
    """The project's base, else a default where one is needed: without a registry the direct builder needs none."""
    assert complete_request(described(tmp_path, **changes), builder, needs_base=needs_base).base == base


def test_a_python_without_a_default_base(tmp_path: Path) -> None:
    """Only a project that names no base is refused."""
    with pytest.raises(BaseImageError, match=r"no default base for Python 3\.20.*Set base"):
        complete_request(described(tmp_path, python="3.20"), "direct")


def test_the_direct_builder_ignores_a_dockerfile(tmp_path: Path) -> None:
    """Its request has none, so that nothing later can mistake the one for the other."""
    request = described(tmp_path, dockerfile=tmp_path / "Dockerfile")

    assert complete_request(request, "direct").dockerfile is None
    assert complete_request(request, "docker").dockerfile == request.dockerfile


def no_engine() -> Any:
    """A Docker engine that must not be asked for."""
    raise AssertionError("the direct builder needs no engine")


def plan(request: ImageRequest, tmp_path: Path, repository: Repository | None = None, **changes: Any) -> ImagePlan:
    """A plan of the direct builder."""
    values = {"project_fingerprint": "a" * 64, "lock_digest": "b" * 64, **changes}
    lookup = BaseLookup(tmp_path / "cache", lambda _: None, no_engine)
    return plan_direct(request, OciLayout(tmp_path / "images", "demo"), repository, lookup=lookup, **values)


def test_the_target_is_the_repository_or_the_layout(tmp_path: Path) -> None:
    """With the content tag and `latest` in either."""
    repository = Repository(Reference("127.0.0.1:1", "demo"))
    local, remote = plan(described(tmp_path), tmp_path), plan(described(tmp_path), tmp_path, repository)

    assert local.target is local.layout
    assert remote.target is repository
    assert local.tags == remote.tags == [image_tag(local.request.fingerprint), "latest"]


def test_what_changes_the_fingerprint(tmp_path: Path) -> None:
    """Files and settings, the lock, and the base's digest; the same inputs give the same fingerprint."""
    bases = OciLayout(tmp_path / "bases", "base")
    digest, _ = make_base(bases, "usr/bin/python3.11")
    based = described(tmp_path, base=f"oci:{bases.folder}:base:v1")
    plans = [
        plan(described(tmp_path), tmp_path),
        plan(described(tmp_path), tmp_path, project_fingerprint="c" * 64),
        plan(described(tmp_path), tmp_path, lock_digest="c" * 64),
        plan(based, tmp_path),
    ]

    assert plans[3].base is not None
    assert plans[3].base.digest == digest
    assert len({made.request.fingerprint for made in plans}) == 4
    assert plan(based, tmp_path).request.fingerprint == plans[3].request.fingerprint
