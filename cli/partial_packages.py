"""Imports a few modules of a large package without all the others that its `__init__` imports.

`google.cloud.aiplatform_v1` imports some 560 modules, of which a training job needs 60. A program that wants the whole
package later gets it, with the same classes.
"""

from __future__ import annotations

import sys
import threading
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

_LOCK = threading.RLock()
_RUNNING: set[str] = set()
"""Packages whose `__init__` runs now, in the thread that has the lock."""


class PartialPackage(ModuleType):
    """A package whose `__init__` runs when a name is asked for that is not one of its modules."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a name may be anything
        if name.startswith("__") and name != "__all__":  # which `from package import *` asks for
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        module = f"{self.__name__}.{name}"
        try:
            return import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
        _complete(self)
        if name in self.__dict__:
            return self.__dict__[name]
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


def import_partially(*packages: str) -> None:
    """Lets packages be imported without their `__init__`, for the rest of this process.

    Args:
        packages: Their names; parents come first. One that is imported or not installed is left as it is. None may
            give one of its modules' names to something else, as `slugify` does to its function.
    """
    for name in packages:
        if name in sys.modules or (spec := _spec_of(name)) is None:
            continue
        package = module_from_spec(spec)
        package.__class__ = PartialPackage
        sys.modules[name] = package
        parent, _, last = name.rpartition(".")
        if parent in sys.modules:
            setattr(sys.modules[parent], last, package)


def complete(name: str) -> None:
    """Runs the `__init__` of a package that was imported partially; any other is left as it is."""
    package = sys.modules.get(name)
    if isinstance(package, PartialPackage):
        _complete(package)


def _complete(package: ModuleType) -> None:
    """Runs the package's own `__init__`; other threads wait for it."""
    spec = package.__spec__
    with _LOCK:
        if not isinstance(package, PartialPackage) or package.__name__ in _RUNNING or spec is None:
            return  # another thread did it, or this one is about it
        loader = spec.loader
        _RUNNING.add(package.__name__)
        try:
            if loader is not None:
                loader.exec_module(package)
            package.__class__ = ModuleType  # pyright: ignore[reportAttributeAccessIssue]
        finally:
            _RUNNING.discard(package.__name__)


def _spec_of(name: str) -> ModuleSpec | None:
    try:
        return find_spec(name)
    except ModuleNotFoundError:  # not even its parent is installed
        return None
