"""Decompression: every form of a stream that tools write."""

from __future__ import annotations

import io

import pytest
import zstandard
from prefect_vertex_training.images.layers.decompression import decompressed


@pytest.mark.parametrize("place", ["before", "between", "behind"])
@pytest.mark.parametrize("kind", [0x50, 0x5F])
def test_zstd_frames_that_are_skipped(place: str, kind: int) -> None:
    """Tools keep tables in them: pzstd before each frame, zstd:chunked behind the last one."""
    skipped = bytes([kind]) + b"\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"table"
    first, second = zstandard.compress(b"first"), zstandard.compress(b"second")
    data = {
        "before": skipped + first + skipped + second,
        "between": first + skipped + second,
        "behind": first + second + skipped,
    }[place]

    assert decompressed(io.BytesIO(data)).read() == b"firstsecond"
