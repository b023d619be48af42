"""One home for all projects: caches are shared, as they are between the runs of one person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.google.schema_cache import with_schema
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import lifecycle

collect_ignore = ["projects"]


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The home of all projects that are not trained."""
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def _home_of_trainings(
    tmp_path_factory: pytest.TempPathFactory, prefect_server: object, schema_cache: Path
) -> Iterator[Home]:
    home = with_schema(Home(tmp_path_factory.mktemp("trainings") / "home"), schema_cache)
    yield home
    lifecycle.stop(home)


@pytest.fixture
def training_home(_home_of_trainings: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """The home of all projects that are trained, whose local_vertex runs until the last of them."""
    from prefect import settings

    monkeypatch.setenv("VERTEX_TRAINING_HOME", str(_home_of_trainings.root))
    results = _home_of_trainings.root.parent / "results"
    with settings.temporary_settings({settings.PREFECT_LOCAL_STORAGE_PATH: results}):
        yield _home_of_trainings
