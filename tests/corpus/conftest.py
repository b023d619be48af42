"""One home for all projects: caches are shared, as they are between the runs of one person."""

from __future__ import annotations

import pytest
from prefect_vertex_training.core.home import Home

collect_ignore = ["projects"]


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The home of all projects that are not trained."""
    return Home(tmp_path_factory.mktemp("home"))
