"""Packages imported without their `__init__`: nobody who uses them sees a difference."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import pytest
from prefect_vertex_training.cli.partial_packages import PartialPackage, import_partially

SOURCE = {
    "__init__": "import time\nfrom .one import One\nfrom . import two\ntime.sleep(0.2)\nALL = [One, two.Two]\n",
    "one": "from {name} import two\nclass One(two.Two): ...\n",
    "two": "class Two: ...\n",
    "broken": "import no_such_module_zzz\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a package that can be imported, and was not."""
    name = f"large_{tmp_path.name.replace('-', '_')}"
    (tmp_path / name).mkdir()
    for module, text in SOURCE.items():
        (tmp_path / name / f"{module}.py").write_text(text.replace("{name}", name))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    for loaded in [loaded for loaded in sys.modules if loaded.partition(".")[0] == name]:
        del sys.modules[loaded]


def test_a_module_is_imported_alone(package: str) -> None:
    """The package's `__init__` has not run; a module that imports another one from the package works."""
    import_partially(package)
    one = import_module(f"{package}.one")

    assert issubclass(one.One, sys.modules[f"{package}.two"].Two)
    assert isinstance(sys.modules[package], PartialPackage)
    assert "ALL" not in vars(sys.modules[package])


def test_the_whole_package_has_the_same_classes(package: str) -> None:
    """Asking for a name of the package runs its `__init__`, once, and leaves a plain module."""
    import_partially(package)
    one = import_module(f"{package}.one")
    whole = import_module(package)

    assert whole.ALL[0] is one.One
    assert whole.One is one.One
    assert not isinstance(whole, PartialPackage)


def test_a_star_imports_the_whole_package(package: str) -> None:
    """As prefect_gcp does by way of Google's own package: `from package import *`."""
    import_partially(package)
    names: dict[str, object] = {}
    exec(f"from {package} import *", names)

    assert "ALL" in names


def test_threads_wait_for_each_other(package: str) -> None:
    """None sees a package whose `__init__` is half done."""
    import_partially(package)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: import_module(package).ALL, range(4)))

    assert all(names is found[0] for names in found)


def test_what_is_not_there_is_an_error(package: str) -> None:
    """A name that the package lacks, and a module whose own import fails, are reported as ever."""
    import_partially(package, "no_such_package_zzz", "no_such_package_zzz.part")

    with pytest.raises(ModuleNotFoundError, match="no_such_module_zzz"):
        _ = sys.modules[package].broken
    with pytest.raises(AttributeError, match="nothing"):
        _ = sys.modules[package].nothing
    assert "no_such_package_zzz" not in sys.modules


def test_an_imported_package_is_left_alone(package: str) -> None:
    """Whoever has it already has all of it."""
    whole = import_module(package)
    import_partially(package)

    assert sys.modules[package] is whole
    assert not isinstance(whole, PartialPackage)
