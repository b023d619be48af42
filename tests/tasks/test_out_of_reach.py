"""What freeze and the plan say of a lock whose server is gone; the server here is a port where nothing listens."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.suite.ports import free_port
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.project.dependencies.freeze import Lock
from prefect_vertex_training.project.snapshot import Project
from prefect_vertex_training.tasks.freeze import out_of_reach

_LOCK = """\
lock-version = "1.0"
created-by = "test"
[[packages]]
name = "acme"
version = "1.0"
wheels = [{{ url = "http://127.0.0.1:{port}/acme-1.0-py3-none-any.whl", hashes = {{ sha256 = "{hash}" }} }}]
"""


@pytest.fixture
def lock() -> Lock:
    """A lock that an earlier run resolved."""
    return Lock(_LOCK.format(port=free_port(), hash="a" * 64), "3.11", (("acme", "1.0"),), "d", known=True)


def opened(folder: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> Project:
    """A project with these files."""
    monkeypatch.setenv("VERTEX_TRAINING_HOME", str(folder / "home"))
    root = folder / "project"
    root.mkdir()
    for name, text in {"train.py": "", **files}.items():
        (root / name).write_text(text)
    return Project.open(root, Home.default())


def test_a_server_that_is_gone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lock: Lock) -> None:
    """With what comes from it, and what to do."""
    (line,) = out_of_reach(opened(tmp_path, monkeypatch), lock)

    assert "doesn't answer, and the lock has acme 1.0 from there" in line
    assert line.endswith("resolve anew: --refresh")


def test_no_one_asks_where_the_index_just_answered_or_docker_downloads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lock: Lock
) -> None:
    """A fresh lock had its indexes' answers; Docker installs the packages of a project with a Dockerfile."""
    project = opened(tmp_path, monkeypatch, Dockerfile="FROM scratch\n")
    fresh = Lock(lock.text, lock.python, lock.packages, lock.digest)

    assert not out_of_reach(project, lock)
    (project.root / "Dockerfile").unlink()
    assert not out_of_reach(project, fresh)
    assert out_of_reach(project, lock)
