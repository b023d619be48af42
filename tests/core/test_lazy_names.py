"""Public names that are imported on first use, in packages whose modules have the same names."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

INIT = """\
from prefect_vertex_training.core.lazy_names import lazy_names

lazy_names(__name__, {"verify": ".verify", "Report": ".results"})
"""
ACTS = {
    "the module": "import lazy.verify",
    "the name": "from lazy import verify",
    "a neighbour that needs the module": "import lazy.neighbour",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package `lazy` with a module `verify` that defines `verify`; not imported yet."""
    folder = tmp_path / "lazy"
    folder.mkdir()
    (folder / "__init__.py").write_text(INIT)
    (folder / "verify.py").write_text("def verify(): return 'verified'\n")
    (folder / "results.py").write_text("class Report: ...\n")
    (folder / "neighbour.py").write_text("from .verify import verify as step\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "lazy"]:
        del sys.modules[name]


@pytest.mark.parametrize("order", list(itertools.permutations(ACTS)), ids=", ".join)
def test_the_name_wins_over_the_module(package: None, order: tuple[str, ...]) -> None:
    """In every order of imports; the module itself stays importable."""
    for act in order:
        exec(ACTS[act], {})

    assert import_module("lazy").verify() == "verified"
    assert import_module("lazy.verify").verify is import_module("lazy").verify
    assert import_module("lazy.neighbour").step is import_module("lazy").verify


def test_a_name_is_imported_when_it_is_used(package: None) -> None:
    """Not before; it is listed all the same."""
    lazy = import_module("lazy")

    assert {"verify", "Report"} <= set(dir(lazy))
    assert "lazy.results" not in sys.modules
    assert lazy.Report.__module__ == "lazy.results"


def test_an_unknown_name_is_an_attribute_error(package: None) -> None:
    """That names the package, as Python's own does."""
    with pytest.raises(AttributeError, match="module 'lazy' has no attribute 'nothing'"):
        _ = import_module("lazy").nothing
    with pytest.raises(ImportError, match="nothing"):
        exec("from lazy import nothing", {})
