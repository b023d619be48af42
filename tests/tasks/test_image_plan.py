"""How an image is made is decided by what was frozen."""

from __future__ import annotations

import shutil

import pytest
from prefect_vertex_training.blocks.registry import ContainerRegistry
from prefect_vertex_training.core.errors import DependencyError, RegistryUnavailable
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.images.base.default_images import CONDA_BASE
from prefect_vertex_training.images.docker.dockerfile_render import render
from prefect_vertex_training.project.dependencies.freeze import freeze
from prefect_vertex_training.project.snapshot import Project
from prefect_vertex_training.tasks.image_plan import plan_image


def opened(home: Home, folder, files: dict[str, str]) -> Project:
    """A project made of `files`."""
    folder.mkdir()
    for name, text in {"train.py": "", **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Project.open(folder, home)


def test_a_conda_list_becomes_a_conda_image(tmp_path, monkeypatch):
    """By Docker, on a base that has conda, also beside a list for pip; the builder of wheels is refused in one line."""
    home = Home(tmp_path / "home")
    table = '[tool.vertex-training]\nfreeze = "conda"\n'
    files = {"environment.yml": "dependencies: [numpy]\n", "requirements.txt": "numpy\n", "pyproject.toml": table}
    project = opened(home, tmp_path / "project", files)
    lock = freeze(project.root, project.settings, cache=home.cache)
    asked = []
    monkeypatch.setattr(
        "prefect_vertex_training.images.base.resolve.base_digest", lambda name, **_: asked.append(name) or "d"
    )
    plan = plan_image(project, lock, registry=None, builder="auto", home=home)

    assert (plan.builder, plan.request.base, asked) == ("docker", CONDA_BASE, [CONDA_BASE])
    assert "conda env create" in render(plan.request)
    with pytest.raises(DependencyError, match=r"environment\.yml is conda's.*--translate"):
        plan_image(project, lock, registry=None, builder="direct", home=home)


def test_a_wheel_that_the_cache_lost_is_built_again(tmp_path):
    """A kept result of the freeze step may name a wheel that is gone: it is there before an image is made of it."""
    from fixtures.projects.packages import write_package

    home = Home(tmp_path / "home")
    write_package(tmp_path / "lib", "lib", "1")
    project = opened(home, tmp_path / "project", {"requirements.txt": f"{tmp_path}/lib\n"})
    lock = freeze(project.root, project.settings, cache=home.cache)
    shutil.rmtree(home.cache)
    plan = plan_image(project, lock, registry=None, builder="direct", home=home)

    assert plan.request.lock == lock.text
    assert list(home.cache.glob("built/*/lib-1-py3-none-any.whl"))


def test_a_base_that_cannot_be_reached(tmp_path, monkeypatch):
    """A job on this machine needs none, and the message says how to build without it; for a registry it is needed."""
    home = Home(tmp_path / "home")
    project = opened(home, tmp_path / "project", {"Dockerfile": "FROM registry.example.com/base\n"})
    lock = freeze(project.root, project.settings, cache=home.cache)

    def unreachable(*_: object, **__: object) -> None:
        raise RegistryUnavailable("no answer from the registry", where="registry.example.com", next_step="Run again")

    monkeypatch.setattr("prefect_vertex_training.tasks.image_plan.plan_docker", unreachable)

    with pytest.raises(RegistryUnavailable, match=r'no answer.*builder = "direct"'):
        plan_image(project, lock, registry=None, builder="auto", home=home)
    registry = ContainerRegistry(host="registry.example.com", project="team")
    with pytest.raises(RegistryUnavailable, match=r"no answer.*Run again"):
        plan_image(project, lock, registry=registry, builder="auto", home=home)
