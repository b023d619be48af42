"""Compression: readable by any inflater, with the same bytes on every processor."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import zlib
from importlib.metadata import version

import pytest
from fixtures.suite.external_tools import missing
from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.images.layers.compression import FAST, PORTABLE, Deflate, fast, isal_zlib, portable, small

_DIGEST = """
import hashlib, random
from prefect_vertex_training.images.layers.compression import fast, portable, small
chance = random.Random(5)
words = [chance.randbytes(chance.randint(1, 9)).hex().encode() for _ in range(3000)]
text = b" ".join(chance.choices(words, k=120_000))
tables = b"".join(b"%d,%.4f\\n" % (n, chance.random()) for n in range(40_000))
samples = [text, tables, bytes(300_000), chance.randbytes(50_000), *(text[:size] for size in range(0, 1500, 50))]
digest = hashlib.sha256()
for sample in samples:
    for start in range(0, max(len(sample), 1), 256 * 1024):
        for deflate in (fast, portable, small):
            digest.update(deflate(sample[start : start + 256 * 1024]))
print(digest.hexdigest())
"""


@pytest.mark.parametrize("deflate", [fast, portable, small])
@given(content=st.binary(max_size=2000).map(lambda part: part * 200))
def test_reads_back(deflate: Deflate, content: bytes) -> None:
    """Any inflater reads the result, for bytes and for memory views."""
    assert zlib.decompress(deflate(memoryview(content)), -15) == content


def test_names() -> None:
    """The versions in cache keys are those of the installed libraries."""
    assert f"zlib-ng {version('zlib-ng')}" == PORTABLE
    assert isal_zlib is None or f"isal {version('isal')}" == FAST


@pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="equal bytes are guaranteed for x86-64 only"
)
@pytest.mark.parametrize("model", ["Nehalem", "Haswell"])
def test_processor_models(model: str) -> None:
    """The same bytes on this machine's processor and on those of 2008 and 2013, emulated."""
    emulator = shutil.which("qemu-x86_64")
    if emulator is None:
        missing("qemu", "no qemu-x86_64; Debian's package qemu-user brings it")
    python = [sys.executable, "-c", _DIGEST]
    here = subprocess.run(python, capture_output=True, text=True, check=True)
    there = subprocess.run([emulator, "-cpu", model, *python], capture_output=True, text=True, check=True)

    assert here.stdout.strip()
    assert there.stdout == here.stdout
