"""Imports that two threads may begin at the same time.

Python imports `package.module` in one thread and `package` in another with a lock for each module. Where the package's
own `__init__` imports the module, each thread can hold the lock that the other one waits for; Python then raises
`_DeadlockError` in one of them (https://github.com/python/cpython/issues/83065). Google's clients are such packages.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_ONE = threading.RLock()


@contextmanager
def one_importer() -> Iterator[None]:
    """No other thread is in a block of this kind meanwhile; for imports of packages that import their own modules."""
    with _ONE:
        yield
