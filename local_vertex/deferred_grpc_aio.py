"""Leaves `grpc.aio` out of a start: `import grpc` imports it in a third of its time, and the service doesn't use it."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

_NAME = "grpc.aio"


class _Deferred(ModuleType):
    """Stands for `grpc.aio` until somebody uses it; the first use imports the real one."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__") and name != "__path__":  # asked by every import, also by that of `grpc`
            raise AttributeError(name)
        if sys.modules.get(_NAME) is self:
            del sys.modules[_NAME]
        return getattr(importlib.import_module(_NAME), name)


def defer_grpc_aio() -> None:
    """To be called before `grpc` is imported, in a process of our own; does nothing afterwards."""
    if "grpc" not in sys.modules:
        sys.modules[_NAME] = _Deferred(_NAME)
