"""Imports a module without the classes that it imports itself, where only functions of it use them.

`prefect_gcp.credentials` imports the clients of four services of Google's, one of which is the whole SDK of Vertex AI:
2,400 modules for a class that holds a key.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType, SimpleNamespace
from typing import Any


def defer(module: str, *packages: str) -> None:
    """Lets a module be imported without these packages, from which it imports callables by their names.

    Each of the names then stands for a callable that imports the package when it is called. All other modules import
    the packages as ever.

    Args:
        module: Full name of the module; one that is imported already is left as it is.
        packages: Full names of what it imports from.
    """
    if module not in sys.modules:
        sys.meta_path.insert(0, _Finder(module, frozenset(packages)))


class _Finder:
    """Finds one module, as Python itself does, and gives it a loader that defers."""

    def __init__(self, module: str, packages: frozenset[str]) -> None:
        self._module = module
        self._packages = packages

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """See importlib.abc.MetaPathFinder."""
        if name != self._module:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(name, spec.loader.path, self._packages)
        return spec


class _Loader(SourceFileLoader):
    """Runs a module whose import statements are answered here; no other module's are."""

    def __init__(self, name: str, path: str, packages: frozenset[str]) -> None:
        super().__init__(name, path)
        self._packages = packages

    def exec_module(self, module: ModuleType) -> None:
        """See importlib.abc.Loader."""
        # Python looks up `__import__` among the built-in names of the module that has the statement.
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self._import}
        super().exec_module(module)

    def _import(
        self,
        name: str,
        variables: Mapping[str, object] | None = None,
        local: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:  # noqa: ANN401 - as of Python's own function
        if level == 0 and fromlist and name in self._packages and name not in sys.modules:
            return SimpleNamespace(**{wanted: _Deferred(name, wanted) for wanted in fromlist})
        return builtins.__import__(name, variables, local, fromlist or (), level)


class _Deferred:
    """A callable of a package that is imported when it is called, or asked for one of its own names."""

    def __init__(self, package: str, name: str) -> None:
        self._place = package, name

    def __call__(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever it takes and returns
        return self._found()(*args, **options)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever it has
        return getattr(self._found(), name)

    def _found(self) -> Any:  # noqa: ANN401 - as above
        package, name = self._place
        return getattr(import_module(package), name)
