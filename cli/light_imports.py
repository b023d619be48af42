"""Imports for a run, made as light as they can be, and in the background while the run waits for answers.

They change how this process imports, so that the command line does it, and the library never does.
"""

from __future__ import annotations

import threading
from importlib import import_module

from ..core.background.imports import one_importer
from .partial_packages import import_partially

_AIPLATFORM = "google.cloud.aiplatform_v1"
_LOGGING = "google.cloud.logging_v2"


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
    )


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
