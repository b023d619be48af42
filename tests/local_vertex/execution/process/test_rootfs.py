"""The cache of unpacked images: sharing, code of each replica, and eviction."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect_vertex_training.core.errors import ImageError, RegistryError
from prefect_vertex_training.local_vertex.execution.process import code_folder, rootfs
from prefect_vertex_training.local_vertex.execution.process.interpreter import Interpreters
from prefect_vertex_training.local_vertex.execution.process.rootfs import Rootfs, RootfsCache
from prefect_vertex_training.local_vertex.execution.replica.image import Images as ImageFinder

DEPENDENCIES = [("opt/vertex-training/venv/lib/python3.11/site-packages/m.py", b"x = 1")]


@pytest.fixture
def unpack(tmp_path: Path) -> Callable[..., Rootfs]:
    """Unpacks an image for the replica of that name."""

    def run(image: str, name: str = "one", *, used: Any = (), max_bytes: int = rootfs.MAX_BYTES) -> Rootfs:
        (tmp_path / "runs").mkdir(exist_ok=True)
        made = RootfsCache(tmp_path / "trees", lambda: used, max_bytes)
        return made.unpack(ImageFinder().find(image), tmp_path / "runs" / name)

    return run


def test_a_changed_line_of_code_unpacks_only_code(images: Any, unpack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images with the same dependencies share the unpacked layers."""
    unpacked: list[str] = []
    real = rootfs.unpack_layer

    def spy(source: Any, layer: Any, *rest: Any) -> None:
        unpacked.append(layer.digest)
        real(source, layer, *rest)

    for module in (rootfs, code_folder):
        monkeypatch.setattr(module, "unpack_layer", spy)
    first, second = (
        images.image([DEPENDENCIES, [("app/", None), ("app/train.py", text)]], WorkingDir="/app", python="3.11")
        for text in (b"1", b"2")
    )
    before, after = unpack(first), unpack(second, "two")

    assert before.shared == after.shared
    assert len(unpacked) == 3
    assert (before.code / "train.py").read_bytes() == b"1"
    assert (after.code / "train.py").read_bytes() == b"2"


def test_code_below_other_layers_is_copied(images: Any, unpack: Any) -> None:
    """Any order of layers gives the files that a container would see."""
    image = images.image(
        [
            [("app/a", b"1"), ("app/b", b"1")],
            DEPENDENCIES,
            [("app/b", b"2"), ("app/.wh.a", b"")],
        ],
        WorkingDir="/app",
    )
    root = unpack(image)

    assert {path.name: path.read_bytes() for path in root.code.iterdir()} == {"b": b"2"}
    assert (root.shared / "app" / "b").read_bytes() == b"1"


def test_a_layer_that_only_begins_like_code_is_unpacked_whole(images: Any, unpack: Any) -> None:
    """A layer that starts with code, but has other files too, is unpacked as a shared layer."""
    image = images.image([[("app/x", b"1"), ("etc/x", b"2")]], WorkingDir="/app")
    root = unpack(image)

    assert (root.code / "x").read_bytes() == b"1"
    assert (root.shared / "etc" / "x").read_bytes() == b"2"


def test_a_failed_unpacking_leaves_no_image(images: Any, unpack: Any, tmp_path: Path) -> None:
    """The next call starts again."""
    image = images.image([DEPENDENCIES, [("etc/x", b"1")]])
    blob = images.layout.blob_path(ImageFinder().find(image).layers[1].digest)
    content = blob.read_bytes()
    blob.write_bytes(content[:-1] + b"?")
    with pytest.raises((RegistryError, ImageError)):
        unpack(image)

    assert list((tmp_path / "trees").glob("*/root")) == []
    assert list((tmp_path / "trees").glob("*/unfinished")) == []
    blob.write_bytes(content)
    assert (unpack(image).shared / "etc" / "x").exists()


def test_the_least_recently_used_images_are_evicted(images: Any, unpack: Any, tmp_path: Path) -> None:
    """Images in use are never removed."""
    roots = []
    for number in range(3):
        image = images.image([[(f"data/{number}", bytes(1000))]])
        roots.append(unpack(image, str(number)))
        os.utime(roots[-1].shared.parent / "used", (number, number))
    last = unpack(images.image([[("data/3", bytes(1000))]]), "3", used={roots[0].shared}, max_bytes=2500)

    assert [root.shared.exists() for root in (*roots, last)] == [True, False, True, True]


def test_this_python_is_found_for_its_own_version() -> None:
    """The result is the real program, not a virtual environment's link."""
    interpreters = Interpreters()
    minor = f"{sys.version_info[0]}.{sys.version_info[1]}"

    assert interpreters.find(minor) == interpreters.find("")
    assert not interpreters.find(minor).is_symlink()


def test_another_python_runs_its_image(harness: Any, images: Any, pool: Any) -> None:
    """If this machine has one."""
    interpreters = Interpreters()
    for minor in ("3.12", "3.13", "3.10"):
        if f"3.{sys.version_info[1]}" == minor:
            continue
        try:
            interpreters.find(minor)
        except ImageError:
            continue
        layers = [[(f"opt/vertex-training/venv/lib/python{minor}/site-packages/m.py", b"x = 1")], [("app/t", b"")]]
        image = images.image(
            layers, python=minor, WorkingDir="/app", Entrypoint=["/opt/vertex-training/venv/bin/python"]
        )
        record = harness.run(pool(image, args=["-c", "import m, sys; print(*sys.version_info[:2], sep='.')"]))

        assert harness.lines(record.id, "workerpool0-0") == [minor]
        return
    pytest.skip("this machine has one Python only")


@pytest.mark.parametrize("text", ["3.11; rm -rf /", "../3", "3", "python"])
def test_a_label_that_is_no_version_finds_no_python(text: str) -> None:
    """An invalid version is never used in a command."""
    with pytest.raises(ImageError, match="this machine has none"):
        Interpreters().find(text)


def test_a_long_or_spaced_path_still_starts_scripts(images: Any, tmp_path: Path) -> None:
    """A path that doesn't fit in a shebang line works too."""
    import subprocess

    image = images.image(
        [[("opt/vertex-training/venv/bin/tool", b"#!/opt/vertex-training/venv/bin/python\nprint('ran')\n")]],
        python="3.11",
    )
    folder = tmp_path / "with space" / ("x" * 120)
    folder.mkdir(parents=True)
    root = RootfsCache(folder / "trees", list).unpack(ImageFinder().find(image), folder / "code")
    done = subprocess.run(
        [root.shared / "opt/vertex-training/venv/bin/tool"], capture_output=True, text=True, check=False
    )

    assert done.stdout == "ran\n", done.stderr
