"""`kill -9` at random times while jobs are created, run and end; the benchmark does it more often."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import lifecycle
from prefect_vertex_training.local_vertex.storage import storage_service
from prefect_vertex_training.local_vertex.store.records import JobRecord, LogEntry
from prefect_vertex_training.local_vertex.store.store import Store

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks" / "local_vertex"


def load(name: str) -> ModuleType:
    """Loads a script of the benchmarks as a module."""
    spec = importlib.util.spec_from_file_location(f"local_vertex_{name}", BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def home(local_home: Home) -> Iterator[Home]:
    """A home whose service is ended after the test."""
    yield local_home
    lifecycle.stop(local_home)


def test_no_job_is_lost_and_none_runs_twice(home: Home, tmp_path: Path) -> None:
    """After five kills, every created job has run once to its end, and each of its lines is stored once."""
    image = load("images").tiny_image(home, tmp_path / "project")
    report = load("kills").campaign(home, image, tmp_path / "witness", kills=5, seed=7)

    assert report.is_clean, report
    assert report.kills == 5
    assert report.jobs >= 3
    lifecycle.stop(home)
    assert storage_service.find(home.vertex) is None  # no job goes on that needs it


@pytest.mark.parametrize(
    ("spoil", "finding"),
    [
        (lambda store, witness: store.delete("1"), "lost"),
        (lambda store, witness: witness.remove("begin k0"), "lost"),
        (lambda store, witness: witness.append("begin k0"), "doubled"),
        (lambda store, witness: witness.remove("end k0"), "unfinished"),
        (lambda store, witness: store.append_logs("1", [LogEntry(9.0, "INFO", "workerpool0-0", "x")]), "wrong_lines"),
        (lambda store, witness: None, None),
    ],
)
def test_comparison_finds_losses(
    tmp_path: Path, spoil: Callable[[Store, list[str]], None], finding: str | None
) -> None:
    """The comparison finds every kind of loss."""
    store = Store(tmp_path / "store.db")
    store.create(JobRecord(id="1", labels={"key": "k0"}))
    store.append_logs("1", [LogEntry(n, "INFO", "workerpool0-0", f"k0 line {n}") for n in range(3)])
    store.transition("1", "JOB_STATE_SUCCEEDED")
    witness = ["begin k0", "end k0"]
    spoil(store, witness)
    report = load("kills").compare(store, {"k0": "projects/1/locations/r/customJobs/1"}, witness)

    found = [name for name in ("lost", "doubled", "unfinished", "wrong_lines") if getattr(report, name)]
    assert found == ([finding] if finding else [])
    assert report.is_clean == (finding is None)
