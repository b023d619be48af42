"""A wheel's layer has the files that an installer would install."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from fixtures.suite.hypothesis_profile import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from installer import install
from installer.destinations import SchemeDictionaryDestination
from installer.sources import WheelFile
from prefect_vertex_training.images.layers.layer_writer import Layer
from prefect_vertex_training.images.wheels.wheel_layer import INSTALLER, write_wheel_layer

ROOT = "opt/vertex-training/venv"
SITE = f"{ROOT}/lib/python3.11/site-packages"
Tree = dict[str, tuple[bytes, int]]

_names = st.text("abcdefXYZ019_-+. éß中", min_size=1, max_size=12).filter(
    lambda name: name.strip(". ") == name and not name.startswith(".wh.")
)
_long = st.integers(60, 140).map(lambda length: "n" * length)
_paths = st.lists(_names | _long, min_size=1, max_size=4).map("/".join)
_prefixes = st.sampled_from(
    [
        "",
        "",
        "",
        "demo/",
        "demo-1.0.data/scripts/",
        "demo-1.0.data/data/",
        "demo-1.0.data/headers/",
        "demo-1.0.data/purelib/",
    ]
)
_contents = st.one_of(
    st.just(b""),
    st.binary(max_size=2000),
    st.binary(max_size=60).map(lambda line: b"#!python\n" + line),
    st.binary(max_size=60).map(lambda line: b"#!pythonw -u\r\n" + line),
    st.integers(100_000, 700_000).map(lambda size: (b"compressible " * (size // 13))[:size]),
    st.integers(60_000, 300_000).map(os.urandom),
)
_modes = st.sampled_from([0o100644, 0o100755, 0o100600, 0o100444, 0o100711, 0o104755, 0o100000, 0])
_scripts = st.sampled_from(["", "[console_scripts]\ndemo = demo.cli:main\n[gui_scripts]\nshow = demo:App.run\n"])


@st.composite
def _trees(draw: st.DrawFn, member: Callable[..., object]) -> dict[str, object]:
    """Files of which none is the folder of another."""
    files: dict[str, object] = {}
    for prefix, path in draw(st.lists(st.tuples(_prefixes, _paths), max_size=8)):
        name = prefix + path
        installed = {_installed(other) for other in files}
        target = _installed(name)
        clash = any(target == other or _inside(target, other) or _inside(other, target) for other in installed)
        if clash or target in {f"{ROOT}/bin/demo", f"{ROOT}/bin/show"} or "pyvenv" in target:
            continue
        files[name] = member(
            draw(_contents),
            draw(_modes),
            stored=draw(st.booleans()),
            zip64=draw(st.booleans()),
            recorded=draw(st.booleans()),
        )
    return files


def _inside(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/")


def _installed(name: str) -> str:
    for scheme, place in (
        ("scripts", "bin"),
        ("data", ""),
        ("headers", "include"),
        ("purelib", "lib/python3.11/site-packages"),
    ):
        if name.startswith(prefix := f"demo-1.0.data/{scheme}/"):
            return os.path.normpath(f"{ROOT}/{place}/{name.removeprefix(prefix)}")
    return f"{SITE}/{name}"


@given(data=st.data(), entry_points=_scripts, piped=st.booleans())
@settings(max_examples=examples(120))
def test_equals_installer(data: st.DataObject, entry_points: str, piped: bool, make_wheel, member) -> None:
    """For any wheel, the unpacked layer is what `installer` installs: names, bytes, modes and RECORD."""
    files = data.draw(_trees(member))
    with tempfile.TemporaryDirectory() as name, Umask(0o022):
        folder = Path(name)
        wheel = make_wheel(folder, files, entry_points=entry_points, piped=piped)
        layer, blob = _layer(wheel)

        assert _unpack(blob) == _reference(wheel, folder / "reference")
        assert layer.digest == f"sha256:{hashlib.sha256(blob).hexdigest()}"
        assert layer.size == len(blob)
        assert layer.diff_id == f"sha256:{hashlib.sha256(_gunzip(blob)).hexdigest()}"


def test_memory_is_flat(make_wheel, member, tmp_path: Path) -> None:
    """A wheel with files of hundreds of megabytes needs less than 100 MB of memory."""
    wheel = make_wheel(tmp_path, {"zeros": bytes(250_000_000), "noise": member(os.urandom(120_000_000), stored=True)})

    output = subprocess.run([sys.executable, "-c", MEASURE, wheel], capture_output=True, text=True, check=True).stdout

    assert 0 < int(output) < 100_000


MEASURE = """
import sys
from pathlib import Path
from prefect_vertex_training.images.wheels.wheel_layer import write_wheel_layer

def peak():
    # getrusage's figure would be the parent's: it survives exec.
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])

before, wheel = peak(), Path(sys.argv[1])
with open("/dev/null", "wb") as out:
    layer = write_wheel_layer(out, wheel, wheel.name, "3.11", "demo")
assert layer.size > 120_000_000
print(peak() - before)
"""


def _layer(wheel: Path, python: str = "3.11") -> tuple[Layer, bytes]:
    out = io.BytesIO()
    layer = write_wheel_layer(out, wheel, wheel.name, python, wheel.name)
    return layer, out.getvalue()


def _gunzip(blob: bytes) -> bytes:
    import gzip

    return gzip.decompress(blob)


def _unpack(blob: bytes) -> Tree:
    tree: Tree = {}
    with tarfile.open(fileobj=io.BytesIO(blob)) as archive:
        for entry in archive:
            assert (entry.uid, entry.gid, entry.mtime) == (0, 0, 315_619_200)
            if entry.isdir():
                assert entry.mode == 0o755
                continue
            assert entry.isfile()
            assert entry.name not in tree
            file = archive.extractfile(entry)
            assert file is not None
            tree[entry.name] = (_normal(entry.name, file.read()), entry.mode)
    return tree


def _reference(wheel: Path, root: Path) -> Tree:
    schemes = {
        "purelib": SITE,
        "platlib": SITE,
        "scripts": f"{ROOT}/bin",
        "data": ROOT,
        "headers": f"{ROOT}/include/site/python3.11/demo",
    }
    destination = SchemeDictionaryDestination(
        {scheme: f"/{path}" for scheme, path in schemes.items()},
        "/opt/vertex-training/venv/bin/python",
        "posix",
        destdir=str(root),
    )
    with WheelFile.open(wheel) as source:
        install(source, destination, {"INSTALLER": INSTALLER})
    tree: Tree = {}
    for path in root.rglob("*"):
        if path.is_file():
            name = path.relative_to(root).as_posix()
            mode = path.stat().st_mode & 0o777
            # Wheels made on Windows lose the bit that a script needs; see `Wheel.files`.
            mode = 0o755 if name.startswith(f"{ROOT}/bin/") else mode
            tree[name] = (_normal(name, path.read_bytes()), mode)
    return tree


def _normal(name: str, content: bytes) -> bytes:
    """The lines of a RECORD, whose order has no meaning."""
    return b"".join(sorted(content.splitlines(keepends=True))) if name.endswith("dist-info/RECORD") else content


class Umask:
    def __init__(self, mask: int) -> None:
        self._mask = mask

    def __enter__(self) -> None:
        self._before = os.umask(self._mask)

    def __exit__(self, *_: object) -> None:
        os.umask(self._before)
