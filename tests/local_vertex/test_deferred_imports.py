"""Modules that a start leaves out are there for whoever uses them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from prefect_vertex_training.local_vertex.deferred_imports import DeferredObject

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


def test_an_object_is_made_once_by_its_first_call() -> None:
    """Two threads that call at once get the same object, and nothing is made before."""
    together, made = threading.Barrier(2), []

    def make() -> list[str]:
        made.append("made")
        return made

    deferred = DeferredObject(make)
    assert made == []

    def call(_: int) -> int:
        together.wait(10)
        return deferred.count("made")

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(call, range(2))) == [1, 1]
