from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

MakeProject = Callable[[Mapping[str, str | bytes]], Path]


@pytest.fixture
def make_project(tmp_path: Path) -> MakeProject:
    """Writes files into a fresh project folder, with an empty `train.py` unless one is given."""

    def make(files: Mapping[str, str | bytes] | None = None, name: str = "demo") -> Path:
        root = tmp_path / name
        for path, content in {"train.py": "", **(files or {})}.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        return root

    return make


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests: an environment is made once."""
    return tmp_path_factory.mktemp("cache")
