"""The steps of the train flow as Prefect tasks, one module each.

A task is an attribute of this package, imported when it is first used: `from prefect_vertex_training.tasks import
verify`. The module of the same name is `sys.modules["prefect_vertex_training.tasks.verify"]`.
"""

from typing import TYPE_CHECKING

from ..core.lazy_names import lazy_names

if TYPE_CHECKING:
    from .build import build
    from .fetch import fetch
    from .freeze import freeze
    from .push import push
    from .receipt import receipt
    from .submit import submit
    from .verify import verify
    from .watch import watch

__all__ = ["build", "fetch", "freeze", "push", "receipt", "submit", "verify", "watch"]

lazy_names(__name__, {name: f".{name}" for name in __all__})
