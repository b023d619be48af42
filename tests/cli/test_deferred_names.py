"""A module imported without what only its functions use: it works as ever, and no other module sees a difference."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from prefect_vertex_training.cli.deferred_names import defer

USER = """
try:
    from {name}_large import Client, LIMIT
except ModuleNotFoundError:
    pass
from {name}_small import answer

def made(**options):
    return Client(**options)
"""


@pytest.fixture
def name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The beginning of the names of a module and of what it imports."""
    name = f"deferring_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}_user.py").write_text(USER.replace("{name}", name))
    (tmp_path / f"{name}_large.py").write_text(
        "class Client:\n    kind = 'c'\n    def __init__(self, x=1): self.x = x\nLIMIT = 3\n"
    )
    (tmp_path / f"{name}_small.py").write_text("def answer(): return 42\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    finders = list(sys.meta_path)
    yield name
    sys.meta_path[:] = finders
    for loaded in [loaded for loaded in sys.modules if loaded.startswith(name)]:
        del sys.modules[loaded]


def test_a_package_comes_when_it_is_called(name: str) -> None:
    """The import leaves it out; the call imports it, and makes its very class."""
    defer(f"{name}_user", f"{name}_large")
    user = import_module(f"{name}_user")
    assert f"{name}_large" not in sys.modules
    assert user.answer() == 42

    made = user.made(x=7)

    large = sys.modules[f"{name}_large"]
    assert type(made) is large.Client
    assert (made.x, user.Client.kind) == (7, "c")


def test_other_modules_import_it_as_ever(name: str) -> None:
    """Nothing but the one module's own statements is answered otherwise."""
    defer(f"{name}_user", f"{name}_large")
    large = import_module(f"{name}_large")

    assert import_module(f"{name}_user").Client is large.Client


def test_an_imported_module_is_left_alone(name: str) -> None:
    """Whoever has it already has what it imported."""
    user = import_module(f"{name}_user")
    defer(f"{name}_user", f"{name}_large")

    assert import_module(f"{name}_user").Client is user.Client is sys.modules[f"{name}_large"].Client
