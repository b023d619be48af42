"""Layers are untrusted input: whatever they contain, nothing is written outside their folder."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fixtures.suite.hypothesis_profile import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect_vertex_training.core.errors import ImageError, RegistryError, TrainingError
from prefect_vertex_training.images.oci.config import OCI
from prefect_vertex_training.local_vertex.execution.process.unpack import unpack_layer

Unpack = Callable[..., Path]


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    """A tar entry without content."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode = kind, link, mode
    return entry


@pytest.fixture
def unpack(images: Any, tmp_path: Path) -> Unpack:
    """Unpacks layers over each other in a new folder."""

    def run(*layers: Any, root: Path = tmp_path / "outside" / "root") -> Path:
        root.mkdir(parents=True, exist_ok=True)
        for entries in layers:
            unpack_layer(images.layout, images.layer(entries), root)
        return root

    return run


def tree(folder: Path) -> dict[str, str]:
    """The contents of a folder: paths with file contents, link targets or "/"."""
    return {
        path.relative_to(folder).as_posix(): f"-> {path.readlink()}"
        if path.is_symlink()
        else "/"
        if path.is_dir()
        else path.read_text()
        for path in sorted(folder.rglob("*"))
    }


def test_files_folders_and_links_are_laid_out(unpack: Unpack) -> None:
    """Absolute links are relative to the image's root."""
    root = unpack(
        [
            ("a/b/f", b"x"),
            member("a/s", tarfile.SYMTYPE, "b/f"),
            member("a/t", tarfile.SYMTYPE, "/a/b"),
            member("h", tarfile.LNKTYPE, "a/b/f"),
        ]
    )

    assert tree(root) == {"a": "/", "a/b": "/", "a/b/f": "x", "a/s": "-> b/f", "a/t": "-> b", "h": "x"}


def test_whiteouts_hide_what_lower_layers_have(unpack: Unpack) -> None:
    """A whiteout removes a file, or all files of a folder, but not those of its own layer."""
    root = unpack(
        [("a/x", b"1"), ("a/y", b"1"), ("b/x", b"1"), ("b/d/x", b"1")],
        [("a/.wh.x", b""), ("b/new", b"2"), ("b/.wh..wh..opq", b"")],
    )

    assert tree(root) == {"a": "/", "a/y": "1", "b": "/", "b/new": "2"}


def test_a_whiteout_below_a_file_has_nothing_to_hide(unpack: Unpack) -> None:
    """Nothing is written through a link, whether of a lower layer or of the same."""
    root = unpack([("f", b"1")], [("g", b"2"), ("f/.wh.x", b""), ("g/.wh.x", b""), ("g/.wh..wh..opq", b"")])

    assert tree(root) == {"f": "1", "g": "2"}


def test_a_later_layer_replaces_what_was_there(unpack: Unpack) -> None:
    """A folder replaces a file, a file replaces a folder or a link; a link's target is not changed."""
    root = unpack(
        [("f", b"1"), ("d/x", b"1"), ("kept", b"1"), member("l", tarfile.SYMTYPE, "kept")],
        [("f/", None), ("d", b"2"), ("l", b"2")],
    )

    assert tree(root) == {"d": "2", "f": "/", "kept": "1", "l": "2"}


def test_special_modes_are_dropped(unpack: Unpack) -> None:
    """Unpacked files are never setuid or setgid."""
    root = unpack([member("p", mode=0o6755)])

    assert (root / "p").stat().st_mode & 0o7777 == 0o755


BAD = {
    "parent": [("../x", b"")],
    "hidden parent": [("a/../../x", b"")],
    "absolute": [("/etc/x", b"")],
    "link out": [member("l", tarfile.SYMTYPE, "../../x")],
    "link out at the top": [member("l", tarfile.SYMTYPE, "..")],
    "through a link": [member("l", tarfile.SYMTYPE, "/"), ("l/x", b"")],
    "hard link out": [member("h", tarfile.LNKTYPE, "../../x")],
    "hard link through a link": [("d/f", b""), member("l", tarfile.SYMTYPE, "d"), member("h", tarfile.LNKTYPE, "l/f")],
    "hard link to nothing": [member("h", tarfile.LNKTYPE, "f")],
    "whiteout through a link": [("d/f", b""), member("l", tarfile.SYMTYPE, "d"), ("l/.wh.f", b"")],
    "whiteout of the parent": [("d/f", b""), ("d/.wh...", b"")],
    "character device": [member("dev", tarfile.CHRTYPE)],
    "block device": [member("dev", tarfile.BLKTYPE)],
    "pipe": [member("pipe", tarfile.FIFOTYPE)],
    "a name too long": [("x" * 300, b"")],
    "a folder's name too long": [("x" * 300 + "/f", b"")],
    "a whiteout of a name too long": [(".wh." + "x" * 300, b"")],
    "a path too long": [("/".join(["x" * 200] * 30), b"")],
}


@pytest.mark.parametrize("name", BAD)
def test_what_leads_out_is_refused(unpack: Unpack, tmp_path: Path, name: str) -> None:
    """The error has one line and names the layer; nothing is written outside."""
    with pytest.raises(ImageError, match=r"a layer of the image .*sha256:") as caught:
        unpack(BAD[name])

    assert "\n" not in str(caught.value)
    assert list((tmp_path / "outside").iterdir()) == [tmp_path / "outside" / "root"]


@pytest.mark.parametrize(
    "spoil",
    [lambda data: data[:-20], lambda data: data + b"rubbish", lambda data: b"", lambda data: b"no gzip at all" * 99],
    ids=["cut", "longer", "empty", "other"],
)
def test_a_damaged_layer_is_rejected(images: Any, tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    """Truncated, extended or replaced blobs are rejected."""
    blob = images.blob(spoil(gzip.compress(b"".join(bytes(512) for _ in range(20)))))

    with pytest.raises(ImageError, match="can't be read"):
        unpack_layer(images.layout, blob, tmp_path)


def test_a_damaged_blob_is_refused(images: Any, tmp_path: Path) -> None:
    """The digest is checked to the last byte, even after the archive's end."""
    blob = images.layer([("f", b"x")])
    path = images.layout.blob_path(blob.digest)
    path.write_bytes(path.read_bytes() + gzip.compress(bytes(512)))

    with pytest.raises(RegistryError, match="damaged"):
        unpack_layer(images.layout, blob, tmp_path)


def test_several_gzip_members_and_none_at_all_are_read(images: Any, tmp_path: Path) -> None:
    """Compressed layers with many members and uncompressed layers both work."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo("f")
        entry.size = 3000
        archive.addfile(entry, io.BytesIO(b"x" * 3000))
    data = out.getvalue()
    many = b"".join(gzip.compress(data[i : i + 700]) for i in range(0, len(data), 700))
    for number, blob in enumerate(
        [images.blob(many), images.blob(data, OCI.layer.removesuffix("+gzip"))],
    ):
        root = tmp_path / str(number)
        root.mkdir()
        unpack_layer(images.layout, blob, root)

        assert (root / "f").read_bytes() == b"x" * 3000


def test_an_encrypted_layer_is_refused_by_name(images: Any, tmp_path: Path) -> None:
    """The error says what is wrong."""
    with pytest.raises(ImageError, match="encrypted"):
        unpack_layer(images.layout, images.blob(b"x", f"{OCI.layer}+encrypted"), tmp_path)


NAMES = st.lists(st.sampled_from(["a", "b", "..", ".", "", ".wh.a", ".wh..wh..opq"]), min_size=1, max_size=4).map(
    "/".join
)
ENTRIES = st.lists(
    st.builds(
        member,
        NAMES,
        st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE]),
        NAMES | NAMES.map("/{}".format),
    ),
    max_size=8,
)


@settings(max_examples=examples(150))
@given(layers=st.lists(ENTRIES, min_size=1, max_size=2))
def test_no_layer_reaches_beyond_its_folder(
    images: Any, tmp_path_factory: pytest.TempPathFactory, layers: list[list[tarfile.TarInfo]]
) -> None:
    """Whatever the entries, nothing outside changes, and every unpacked link points inside."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "a").write_text("precious")
    root = outside / "b"
    root.mkdir()
    for entries in layers:
        try:
            unpack_layer(images.layout, images.layer(entries), root)
        except TrainingError:
            break

    assert sorted(path.name for path in outside.iterdir()) == ["a", "b"]
    assert (outside / "a").read_text() == "precious"
    for path in root.rglob("*"):
        if path.is_symlink():
            try:
                target = path.resolve()
            except (OSError, RuntimeError):
                continue  # a ring of links leads nowhere
            assert target.is_relative_to(root.resolve())
