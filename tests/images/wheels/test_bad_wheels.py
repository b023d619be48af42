"""A wheel that can't or must not become a layer ends in one line that names it."""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
import zipfile
from pathlib import Path

import pytest
from fixtures.suite.hypothesis_profile import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect_vertex_training.core.errors import WheelError
from prefect_vertex_training.images.wheels.wheel_layer import write_wheel_layer

SITE = "/opt/vertex-training/venv/lib/python3.11/site-packages"


def _fail(wheel: Path) -> str:
    with pytest.raises(WheelError) as caught:
        write_wheel_layer(io.BytesIO(), wheel, wheel.name, "3.11", "demo")
    message = str(caught.value)
    assert "\n" not in message
    assert wheel.name in message
    assert caught.value.next_step
    return message


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("../evil.py", "leads out of the wheel"),
        ("demo/../../evil.py", "leads out of the wheel"),
        ("demo//x.py", "leads out of the wheel"),
        ("./x.py", "leads out of the wheel"),
        ("/etc/evil", "absolute"),
        ("demo\\evil.py", "Windows path"),
        ("demo/.wh.numpy", "would delete files"),
        (".wh..wh..opq", "would delete files"),
        ("demo-1.0.data/data/bin/python", "replace the image's interpreter"),
        ("demo-1.0.data/scripts/python3", "replace the image's interpreter"),
        ("demo-1.0.data/data/pyvenv.cfg", "replace the image's interpreter"),
        ("demo-1.0.data/elsewhere/x", "in an unknown folder"),
        ("demo-1.0.data/x", "in an unknown folder"),
    ],
)
def test_names_that_lead_out(path: str, reason: str, make_wheel, tmp_path: Path) -> None:
    """A path that would leave the environment, or harm it, is refused by name."""
    message = _fail(make_wheel(tmp_path, {path: b"x"}))

    assert reason in message


def test_a_nul_in_a_name_is_refused(make_wheel, tmp_path: Path) -> None:
    """Zipfile cuts a name there, and would show another one than the bytes say."""
    wheel = make_wheel(tmp_path, {"demo/harmless.py_evil": b"x"})
    wheel.write_bytes(wheel.read_bytes().replace(b"harmless.py_evil", b"harmless.py\0evil"))

    assert "NUL" in _fail(wheel)


@pytest.mark.parametrize("recorded", ["sha256", "no-hash", "", "=", "sha256=", "\u00e9=x"])
def test_a_hash_in_record_that_is_none_is_computed(make_wheel, tmp_path: Path, recorded: str) -> None:
    """RECORD may be written by hand; pip doesn't read its hashes either."""
    whole, record = make_wheel(tmp_path / "whole", {"demo/x.py": b"x"}), "demo-1.0.dist-info/RECORD"
    wheel = tmp_path / whole.name
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(wheel, "w") as target:
        for name in source.namelist():
            target.writestr(name, f"demo/x.py,{recorded},1\n" if name == record else source.read(name))

    assert write_wheel_layer(io.BytesIO(), wheel, wheel.name, "3.11", "demo").title == "demo"


def test_files_that_run_at_every_start_are_named(make_wheel, tmp_path: Path) -> None:
    """A `.pth` file with a line that imports, in the layer's title; one with paths alone is ordinary."""
    files = {
        "evil.pth": b"# a\nimport os; os.system('id')\n",
        "paths.pth": b"../lib\n",
        "demo/inner.pth": b"import x\n",
    }
    wheel = make_wheel(tmp_path, files)

    title = write_wheel_layer(io.BytesIO(), wheel, wheel.name, "3.11", "demo 1.0").title

    assert title == "demo 1.0 (runs evil.pth at every start of Python)"


def test_bzip2_is_read_as_pip_does(make_wheel, member, tmp_path: Path) -> None:
    """Any compression that zipfile reads may be in a wheel."""
    wheel = make_wheel(tmp_path, {"demo/a.txt": b"x" * 5000})
    packed = tmp_path / "packed" / wheel.name
    packed.parent.mkdir()
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_BZIP2) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))

    assert write_wheel_layer(io.BytesIO(), packed, packed.name, "3.11", "demo").size > 0


@pytest.mark.parametrize("mode", [0o120777, 0o060644, 0o010644, 0o140644])
def test_links_and_devices(mode: int, make_wheel, member, tmp_path: Path) -> None:
    """Links, devices, pipes and sockets are refused: pip would write a link's target as text."""
    message = _fail(make_wheel(tmp_path, {"demo/link": member(b"/etc/passwd", mode)}))

    assert "link or a device" in message


def test_same_file_twice(make_wheel, tmp_path: Path) -> None:
    """Two entries for one path are refused: it is undefined which one is installed."""
    message = _fail(make_wheel(tmp_path, {"demo/a.py": b"1", "demo-1.0.data/purelib/demo/a.py": b"2"}))

    assert f"{SITE}/demo/a.py' occurs twice" in message


def test_file_and_folder(make_wheel, tmp_path: Path) -> None:
    """A path that is both a file and a folder is refused before anything is written."""
    message = _fail(make_wheel(tmp_path, {"demo/a": b"1", "demo/a/b": b"2"}))

    assert "is a file and a folder" in message


@pytest.mark.parametrize(
    ("entry_points", "reason"),
    [
        ("[console_scripts]\n../../evil = demo:main\n", "outside bin/"),
        ("[console_scripts]\ndemo = not a reference\n", "bad metadata"),
        ("[console_scripts\n", "bad metadata"),
        ("[console_scripts]\npython = demo:main\n", "replace the image's interpreter"),
    ],
)
def test_entry_points(entry_points: str, reason: str, make_wheel, tmp_path: Path) -> None:
    """Entry points outside bin/, or that can't be parsed, are refused."""
    assert reason in _fail(make_wheel(tmp_path, {"demo/a.py": b""}, entry_points=entry_points))


def test_content_that_changed(make_wheel, tmp_path: Path) -> None:
    """A flipped bit in compressed data fails the CRC and names the file."""
    wheel = make_wheel(tmp_path, {"demo/a.py": b"x = 1\n" * 1000})
    data = bytearray(wheel.read_bytes())
    with zipfile.ZipFile(wheel) as archive:
        info = archive.getinfo("demo/a.py")
    data[info.header_offset + 30 + len(info.filename) + info.compress_size // 2] ^= 0x10
    wheel.write_bytes(data)

    message = _fail(wheel)

    assert "is corrupt" in message
    assert "demo/a.py" in message


@pytest.mark.parametrize("stored", [True, False])
def test_wrong_crc(stored: bool, make_wheel, member, tmp_path: Path) -> None:
    """A wrong CRC in the zip's directory is found for stored and for deflated entries."""
    wheel = make_wheel(tmp_path, {"demo/a.py": member(b"x = 1\n" * 1000, stored=stored)})
    data = wheel.read_bytes()
    with zipfile.ZipFile(wheel) as archive:
        crc = struct.pack("<I", archive.getinfo("demo/a.py").CRC)
    wheel.write_bytes(data.replace(crc, bytes(4)))

    assert "is corrupt" in _fail(wheel)


def test_more_data_than_announced(make_wheel, tmp_path: Path) -> None:
    """Inflating stops at the announced size, however much follows."""
    size = 50_000_000
    wheel = make_wheel(tmp_path, {"demo/bomb": bytes(size)})
    wheel.write_bytes(wheel.read_bytes().replace(struct.pack("<I", size), struct.pack("<I", 10)))

    assert "more than the 10 bytes announced" in _fail(wheel)


def test_other_files(make_wheel, tmp_path: Path) -> None:
    """A file that isn't a zip, is cut short, has no RECORD or a later format is refused."""
    wheel = make_wheel(tmp_path, {"demo/a.py": b"x" * 5000})
    whole = wheel.read_bytes()

    for data in (b"", b"no zip", whole[: len(whole) // 2], whole[1000:]):
        wheel.write_bytes(data)
        assert "corrupt" in _fail(wheel)

    wheel.write_bytes(whole.replace(b"demo-1.0.dist-info/RECORD", b"demo-1.0.dist-info/RECXRD"))
    assert "bad metadata" in _fail(wheel)
    wheel.write_bytes(whole.replace(b"demo-1.0.dist-info", b"damo-1.0.dist-info"))
    assert "bad metadata" in _fail(wheel)


def test_later_format(make_wheel, member, tmp_path: Path) -> None:
    """Wheel-Version 2 is refused."""
    wheel = make_wheel(tmp_path, {"demo/a.py": b""})
    with zipfile.ZipFile(wheel) as archive:
        files = {info.filename: archive.read(info) for info in archive.infolist()}
    files["demo-1.0.dist-info/WHEEL"] = b"Wheel-Version: 2.0\n"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)

    assert "format version 2.0" in _fail(wheel)


@given(where=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
@settings(max_examples=examples(300))
def test_any_damaged_byte(where: float, change: int, make_wheel, tmp_path_factory: pytest.TempPathFactory) -> None:
    """For any damaged byte of a wheel, either the layer is made or the error is a WheelError."""
    folder = tmp_path_factory.mktemp("damaged")
    files = {"demo/a.py": b"x = 1\n" * 50, "demo/ü.py": b"", "demo-1.0.data/scripts/run": b"#!python\n"}
    wheel = make_wheel(folder, files, entry_points="[console_scripts]\ndemo = demo:main\n")
    data = bytearray(wheel.read_bytes())
    data[int(where * len(data))] ^= change
    wheel.write_bytes(data)

    with warnings.catch_warnings(), contextlib.suppress(WheelError):
        warnings.simplefilter("ignore")
        write_wheel_layer(io.BytesIO(), wheel, wheel.name, "3.11", "demo")
