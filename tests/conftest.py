"""Plugins of the whole suite; each module of tests/fixtures/ provides one real part."""

import gc
import os
import signal
import sys
from pathlib import Path

# No command that a test starts leaves a process behind for the next one.
os.environ["VERTEX_TRAINING_PRELOAD"] = "off"
# A shell's background job ignores Ctrl-C, and so would every program that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Makes `fixtures` importable from the tests, whose folders are no packages.
sys.path.insert(0, str(Path(__file__).parent))

from fixtures.prefect_api.prefect_settings import FASTER
from fixtures.suite.hypothesis_profile import load_profile

gc.disable()  # until all tests are imported: nearly all of that stays
load_profile()
os.environ.update(FASTER)  # before Prefect is imported

pytest_plugins = [
    "fixtures.suite.checkout_folder",
    "fixtures.suite.distribution",
    "fixtures.suite.external_tools",
    "fixtures.suite.forked_workers",
    "fixtures.images.registry_server",
    "fixtures.google.schema_cache",
    "fixtures.google.storage_servers",
    "fixtures.images.engine",
    "fixtures.images.direct_build",
    "fixtures.images.base_image",
    "fixtures.prefect_api.browser",
    "fixtures.google.client_packages",
    "fixtures.prefect_api.prefect_server",
    "fixtures.prefect_api.kept_server",
    "fixtures.prefect_api.postgresql",
    "fixtures.projects.train_flow",
    "fixtures.prefect_api.worker",
]


def pytest_collection_finish() -> None:
    """What was imported never becomes garbage: without it a collection takes milliseconds, with it half a second."""
    gc.collect()
    gc.freeze()
    gc.enable()
