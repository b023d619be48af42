"""Fixtures for all tests; each file under tests/fixtures/ brings one real part."""

import sys
from pathlib import Path

# Test folders are no packages; this makes `fixtures.external_tools` importable from any of them.
sys.path.insert(0, str(Path(__file__).parent))

pytest_plugins = [
    "fixtures.external_tools",
    "fixtures.registry_server",
    "fixtures.engine",
    "fixtures.direct_build",
    "fixtures.base_image",
    "fixtures.browser",
    "fixtures.prefect_server",
    "fixtures.train_flow",
    "fixtures.worker",
]
