"""Layers are tar archives that any reader can read, from compressed and uncompressed parts."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.images.layers import tar_headers
from prefect_vertex_training.images.layers.decompression import CorruptData, gunzip
from prefect_vertex_training.images.layers.layer_writer import CHUNK, Layer, LayerWriter
from prefect_vertex_training.images.layers.merge import merge_layers

_names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=120).filter(
    lambda name: name not in {".", ".."}
)
_contents = st.one_of(
    st.binary(max_size=3000),
    st.integers(0, 600_000).map(bytes),
    st.integers(0, 600_000).map(os.urandom),
)


@given(st.dictionaries(_names, st.tuples(_contents, st.booleans(), st.booleans()), max_size=6))
def test_reads_back(files: dict[str, tuple[bytes, bool, bool]]) -> None:
    """Names of any length and script, and contents deflated before or here, are read back; both hashes are right."""
    out = io.BytesIO()
    writer = LayerWriter(out)
    for name, (content, executable, is_deflated) in files.items():
        _add(writer, f"a/b/{name}", content, executable=executable, is_deflated=is_deflated)
    layer = writer.finish("demo")
    blob = out.getvalue()

    assert _hashes("demo", blob) == layer
    with tarfile.open(fileobj=io.BytesIO(blob)) as archive:
        entries = {entry.name: entry for entry in archive if entry.isfile()}
        assert {f"a/b/{name}" for name in files} == set(entries)
        for name, (content, executable, _) in files.items():
            entry = entries[f"a/b/{name}"]
            file = archive.extractfile(entry)
            assert file is not None
            assert content == file.read()
            assert (0o755 if executable else 0o644) == entry.mode


def test_merging(tmp_path: Path) -> None:
    """Merged layers have each path once, and of two files with one path the later one."""
    paths = []
    for number, names in enumerate((["a/x", "a/y"], ["a/b/z", "a/y"], [])):
        out = io.BytesIO()
        writer = LayerWriter(out)
        for name in names:
            _add(writer, name, f"{name} of {number}".encode(), executable=name == "a/x", is_deflated=True)
        writer.finish("part")
        paths.append(tmp_path / str(number))
        paths[-1].write_bytes(out.getvalue())
    joined = io.BytesIO()
    layer = merge_layers(joined, paths, "joined")

    assert _hashes("joined", joined.getvalue()) == layer
    with tarfile.open(fileobj=io.BytesIO(joined.getvalue())) as archive:
        found = {entry.name: (entry.mode, _read(archive, entry)) for entry in archive}
        assert len(found) == len(archive.getnames())
    assert found == {
        "a": (0o755, None),
        "a/x": (0o755, b"a/x of 0"),
        "a/b": (0o755, None),
        "a/b/z": (0o644, b"a/b/z of 1"),
        "a/y": (0o644, b"a/y of 1"),
    }


def test_block_sizes_do_not_matter() -> None:
    """The same deflated bytes in other blocks give the same layer."""
    content = os.urandom(100_000) + bytes(100_000)
    layers = set()
    for size in (1, 7, 4096, CHUNK):
        out = io.BytesIO()
        writer = LayerWriter(out)
        data = _deflate(content)
        pieces = (data[start : start + size] for start in range(0, len(data), size))
        writer.add_deflated("x", len(content), zlib.crc32(content), pieces, executable=False)
        layers.add(writer.finish("x"))

    assert len(layers) == 1


def test_huge_sizes_and_links() -> None:
    """The header can hold a size above eight gigabytes, and a link."""
    size = 9 * 1024**3
    header = tar_headers.file_header("big", size, executable=False)
    with tarfile.open(fileobj=io.BytesIO(header + tar_headers.END)) as archive:
        assert archive.firstmember is not None
        assert archive.firstmember.size == size

    out = io.BytesIO()
    writer = LayerWriter(out)
    writer.add_symlink("bin/python", "/usr/bin/python3")
    writer.add_directory("out", 0o777)
    writer.add_directory("out", 0o755)
    writer.finish("links")
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as archive:
        found = [(entry.name, entry.type, entry.mode, entry.linkname) for entry in archive]
    assert found == [
        ("bin", tarfile.DIRTYPE, 0o755, ""),
        ("bin/python", tarfile.SYMTYPE, 0o777, "/usr/bin/python3"),
        ("out", tarfile.DIRTYPE, 0o777, ""),
    ]


@pytest.mark.parametrize("change", ["size", "crc", "cut", "longer", "noise"])
def test_deflated_data_is_checked(change: str) -> None:
    """Data with another size or CRC than announced is an error."""
    content = b"text " * 1000
    data, size, crc = _deflate(content), len(content), zlib.crc32(content)
    if change == "size":
        size += 1
    elif change == "crc":
        crc ^= 1
    elif change == "cut":
        data = data[:-3]
    elif change == "longer":
        data += b"\0"
    else:
        data = b"\xff" * len(data)

    with pytest.raises(CorruptData):
        LayerWriter(io.BytesIO()).add_deflated("x", size, crc, [data], executable=False)


def test_announced_size_is_checked() -> None:
    """Blocks with more or fewer bytes than announced are an error."""
    for blocks in ([b"ab"], [b"abc", b"d"]):
        with pytest.raises(CorruptData):
            LayerWriter(io.BytesIO()).add_file("x", 3, blocks, executable=False)


def test_noise_is_stored() -> None:
    """Data that doesn't compress is stored uncompressed."""
    noise = os.urandom(3_000_000)
    out = io.BytesIO()
    writer = LayerWriter(out)
    blocks = (noise[start : start + CHUNK] for start in range(0, len(noise), CHUNK))
    writer.add_file("noise", len(noise), blocks, executable=False)

    assert writer.finish("noise").size < len(noise) * 1.001


def _add(writer: LayerWriter, name: str, content: bytes, *, executable: bool = False, is_deflated: bool) -> None:
    if is_deflated:
        writer.add_deflated(name, len(content), zlib.crc32(content), [_deflate(content)], executable=executable)
    else:
        blocks = (content[start : start + CHUNK] for start in range(0, len(content), CHUNK))
        writer.add_file(name, len(content), blocks, executable=executable)


def _deflate(content: bytes) -> bytes:
    squeeze = zlib.compressobj(6, zlib.DEFLATED, -15)
    return squeeze.compress(content) + squeeze.flush()


def _hashes(title: str, blob: bytes) -> Layer:
    """A layer's hashes and size, computed from its bytes."""
    plain = gzip.decompress(blob)
    return Layer(
        title, f"sha256:{hashlib.sha256(blob).hexdigest()}", f"sha256:{hashlib.sha256(plain).hexdigest()}", len(blob)
    )


def _read(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes | None:
    file = archive.extractfile(entry)
    return file.read() if file else None


@given(st.lists(_contents, min_size=1, max_size=4), st.sampled_from(["", "cut", "noise"]))
def test_gunzip(contents: list[bytes], damage: str) -> None:
    """Any number of members is read to the end; a stream that is cut short or isn't gzip is an error."""
    data = b"".join(gzip.compress(content, 1) for content in contents)
    if damage == "":
        assert gunzip(io.BytesIO(data + bytes(100))).read() == b"".join(contents)
        return
    damaged = data[:-1] if damage == "cut" else b"no gzip" + data
    with pytest.raises(CorruptData):
        gunzip(io.BytesIO(damaged)).read()
