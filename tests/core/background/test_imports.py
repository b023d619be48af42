"""Imports of Google's clients by several threads at the same time."""

from __future__ import annotations

import subprocess
import sys

TOGETHER = """
import importlib.abc, sys, threading, time, types
from prefect_vertex_training.cli.light_imports import import_clients
from prefect_vertex_training.vertex.client.endpoints import LocalEndpoint

# These take seconds, and the logging client alone is enough to see it.
for name in ("google.cloud.aiplatform_v1.services.job_service.client", "prefect_vertex_training.flows.train_job"):
    sys.modules[name] = types.ModuleType(name)

inside = threading.Event()

class Slow(importlib.abc.MetaPathFinder):
    # Holds the lock of the package, in the moment before the package imports its module "client".
    def find_spec(self, name, path, target=None):
        if name == "google.cloud.logging_v2.services.logging_service_v2.async_client":
            inside.set()
            time.sleep(0.5)

sys.meta_path.insert(0, Slow())
errors = []
threading.excepthook = lambda happened: errors.append(happened.exc_value)
importing = threading.Thread(target=FIRST)
importing.start()
assert inside.wait(60)
SECOND()
importing.join()
assert not errors, errors
"""
LOGS = 'LocalEndpoint("p", "europe-west4", "b", "unix:/none", None).logs'


def _runs(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_client_is_opened_while_the_command_line_imports_it() -> None:
    """One thread imports the package, the other one a module that the package imports: Python sees a deadlock."""
    _runs(TOGETHER.replace("FIRST", LOGS).replace("SECOND", "import_clients"))
    _runs(TOGETHER.replace("FIRST", "import_clients").replace("SECOND", LOGS))
