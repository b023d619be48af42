"""Plugins of the whole suite; each module of tests/fixtures/ provides one real part."""

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

from fixtures.hypothesis_profile import load_profile
from fixtures.prefect_settings import FASTER

load_profile()
os.environ.update(FASTER)  # before Prefect is imported

pytest_plugins = [
    "fixtures.checkout_folder",
    "fixtures.distribution",
    "fixtures.external_tools",
    "fixtures.registry_server",
    "fixtures.schema_cache",
    "fixtures.storage_servers",
    "fixtures.engine",
    "fixtures.direct_build",
    "fixtures.base_image",
    "fixtures.browser",
    "fixtures.client_packages",
    "fixtures.prefect_server",
    "fixtures.kept_server",
    "fixtures.postgresql",
    "fixtures.train_flow",
    "fixtures.worker",
]
