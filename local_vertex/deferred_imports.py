"""Leaves modules out of a start that others import and that nothing needs before it responds: half of its time.

`import grpc` imports `grpc.aio` and asyncio, and protobuf its messages in pure Python beside those in C.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

_UNUSED = {"asyncio": "grpc", "grpc.aio": "grpc", "google.protobuf.internal.python_message": "google.protobuf"}
"""The modules, each with the package that imports it."""


class _Deferred(ModuleType):
    """Stands for a module until somebody uses it; the first use imports the real one."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__") and name != "__path__":  # asked by every import, also by that of the package
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        value = getattr(importlib.import_module(self.__name__), name)
        self.__dict__[name] = (
            value  # a module that has this one keeps it: its next look is as fast as into the real one
        )
        return value


def defer_unused() -> None:
    """To be called in a process of our own, before the packages are imported; does nothing for those that are."""
    for name, package in _UNUSED.items():
        if package not in sys.modules:
            sys.modules[name] = _Deferred(name)


class DeferredObject:
    """Stands for an object whose module few services need: the first call of one of its methods makes it.

    Only methods can be used through it, from any thread.

    Args:
        make: Imports the module and makes the object.
    """

    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make
        self._made: object = None
        self._lock = threading.Lock()

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def call(*arguments: object) -> object:
            with self._lock:
                self._made = self._made or self._make()
            return getattr(self._made, method)(*arguments)

        return call
