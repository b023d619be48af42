"""Modules that a start leaves out are there for whoever uses them."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import json, sys
from prefect_vertex_training.local_vertex.deferred_imports import defer_unused
defer_unused()
import grpc
from google.protobuf import descriptor_pb2, message_factory
late = ("asyncio.events", "grpc.aio._base_call", "google.protobuf.internal.decoder")
early = [name for name in late if name in sys.modules]
import grpc.aio._call
from google.protobuf.internal import python_message
from grpc import aio
import asyncio
async def two(): return await asyncio.gather(asyncio.sleep(0, 1), asyncio.to_thread(int, 1))
assert asyncio.run(two()) == [1, 1] and asyncio.Task is sys.modules["asyncio"].Task
used = [aio.insecure_channel.__name__, grpc.aio.Server.__name__, python_message.GeneratedProtocolMessageType.__name__]
defer_unused()
print(json.dumps([early, used, sys.modules["grpc.aio"].__file__ is not None]))
"""


def test_what_is_left_out_is_imported_at_its_first_use() -> None:
    """By every form of import; and where the packages are imported already, nothing is changed."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=True)

    assert json.loads(done.stdout) == [[], ["insecure_channel", "Server", "GeneratedProtocolMessageType"], True]
