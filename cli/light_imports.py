"""Imports for a run, made as light as they can be, and in the background while the run waits for answers.

They change how this process imports, so that the command line does it, and the library never does.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from importlib import import_module

from ..core.background.imports import one_importer
from .deferred_names import defer
from .partial_packages import complete, import_partially

_AIPLATFORM = "google.cloud.aiplatform_v1"
_LOGGING = "google.cloud.logging_v2"
_COLLECTIONS = ("prefect_docker", "prefect_gcp")


def lighten_imports() -> None:
    """Lets this process import parts alone of some large packages; to be called before anything imports them."""
    import_partially(
        "fastapi",  # Prefect needs one function of it to create a run
        "graphviz",  # and this to draw a flow, which no command does
        _AIPLATFORM,
        f"{_AIPLATFORM}.types",
        f"{_AIPLATFORM}.services.job_service",
        f"{_AIPLATFORM}.services.job_service.transports",
        _LOGGING,
        f"{_LOGGING}.types",
        f"{_LOGGING}.services.logging_service_v2",
        *_COLLECTIONS,  # of each one block, where Prefect imports workers and Google's SDK as well
    )
    google = (f"google.cloud.{name}" for name in ("aiplatform.gapic", "bigquery", "secretmanager", "storage"))
    defer("prefect_gcp.credentials", *google)


def look_up_imported_blocks_first() -> None:
    """Has Prefect look for a saved block's class among the imported ones, before it imports all installed collections.

    It looks when a block holds another one, such as credentials, and the collections take seconds.
    """
    from prefect.blocks.core import Block
    from prefect.utilities.dispatch import lookup_type

    look_up = Block.get_block_class_from_key.__func__
    if look_up.__module__ == __name__:
        return

    def found(cls: type[Block], key: str) -> type[Block]:
        for collection in ("", *_COLLECTIONS):
            complete(collection)
            with suppress(KeyError):
                return lookup_type(cls, key)
        return look_up(cls, key)

    Block.get_block_class_from_key = classmethod(found)  # pyright: ignore[reportAttributeAccessIssue]


def import_ahead() -> None:
    """Imports in the background what the last steps of a run need."""
    threading.Thread(target=import_clients, name="imports", daemon=True).start()


def import_clients() -> None:
    """Imports Google's clients, as far as a run needs them, and what submits a job."""
    package = __package__.rpartition(".")[0] if __package__ else ""
    with one_importer():
        import_module(f"{_AIPLATFORM}.services.job_service.client")
        import_module(f"{_LOGGING}.services.logging_service_v2.client")
    import_module(f"{package}.flows.train_job")
