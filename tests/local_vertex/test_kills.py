"""`kill -9` at random moments while jobs are created, run and end. The long campaign is a benchmark."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import service

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks" / "local_vertex"


def load(name: str) -> ModuleType:
    """A script of the benchmarks as a module."""
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
    service.stop(local_home)


def test_no_job_is_lost_and_none_runs_twice(home: Home, tmp_path: Path) -> None:
    """Five kills: every job that was asked for ran once, to its end, and each of its lines is there once."""
    image = load("images").tiny_image(home, tmp_path / "project")
    report = load("kills").campaign(home, image, tmp_path / "witness", kills=5, seed=7)

    assert report.is_clean, report
    assert report.kills == 5
    assert report.jobs >= 5
