"""A package's public names, each imported when it is first used (PEP 562, for whole packages)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


class LazyPackage(ModuleType):
    """A package whose public names are imported on first use, and are never hidden by its submodules.

    After importing `package.verify`, Python sets the attribute `verify` of the package to that submodule. Where the
    submodule defines the public name `verify`, the attribute must be that object instead, whichever was imported
    first. Python documents this use of a module's `__class__`:
    https://docs.python.org/3/reference/datamodel.html#customizing-module-attribute-access
    """

    _lazy_names: Mapping[str, str]

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a name may be anything
        module = self._lazy_names.get(name)
        if module is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(import_module(module, self.__name__), name)
        setattr(self, name, value)
        return value

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, ModuleType) and name in self._lazy_names:
            value = getattr(value, name)
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._lazy_names})


def lazy_names(package: str, names: Mapping[str, str]) -> None:
    """Makes `names` attributes of a package that are imported when they are first used.

    Args:
        package: The package's `__name__`; it is being imported.
        names: Each public name with the module that defines it, relative to the package, such as `.verify`.
    """
    module = sys.modules[package]
    module.__dict__["_lazy_names"] = dict(names)
    module.__class__ = LazyPackage
