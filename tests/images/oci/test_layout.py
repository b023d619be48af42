"""The OCI layout: shared by images and processes, readable by skopeo, and never half-written."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fixtures.images.stored_images import make_image, put
from fixtures.suite.external_tools import missing
from prefect_vertex_training.core.errors import RegistryError
from prefect_vertex_training.images.oci.config import OCI
from prefect_vertex_training.images.oci.image_types import BuiltImage, Descriptor
from prefect_vertex_training.images.oci.layout import UNUSED_AFTER, OciLayout
from prefect_vertex_training.images.oci.reference import parse_reference
from prefect_vertex_training.images.push import push

WRITER = """
import sys
from pathlib import Path
from prefect_vertex_training.images.oci.layout import OciLayout

layout = OciLayout(Path(sys.argv[1]), sys.argv[2])
for number in range(20):
    layout.put_manifest(f'{{"config": {{}}, "layers": [], "n": "{sys.argv[2]}{number}"}}'.encode(), "x", [f"t{number}"])
"""


@pytest.mark.registry
def test_skopeo_reads_it(image: BuiltImage, layout: OciLayout) -> None:
    """By digest, as the steps name images, and by tag."""
    if shutil.which("skopeo") is None:
        missing("registry", "skopeo is not here; apt-get install skopeo")
    named = push(image, layout, layout, tags=["v1"]).reference
    for name in (named, f"oci:{layout.folder}:thing:v1"):
        done = subprocess.run(["skopeo", "inspect", "--raw", name], capture_output=True, check=True)

        assert done.stdout == layout.blob_path(image.digest).read_bytes()
    assert str(parse_reference(named)) == named


def test_concurrent_processes(tmp_path: Path) -> None:
    """No process loses the entries of another."""
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name]) for name in "abc"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]

    for name in "abc":
        assert all(OciLayout(tmp_path, name).head_manifest(f"t{number}") for number in range(20))


def test_wrong_bytes_are_not_kept(layout: OciLayout) -> None:
    """A blob that is too short or has another digest leaves no file."""
    digest = f"sha256:{'0' * 64}"
    with pytest.raises(RegistryError, match=r"wanted sha256:0000.*got sha256:.*of 3 bytes"):
        layout.put_blob(Descriptor("x", digest, 3), lambda: io.BytesIO(b"abc"))

    assert not layout.has_blob(digest)
    assert list(layout.blob_path(digest).parent.glob("*")) == []


def test_damage_on_disk_is_noticed(image: BuiltImage, layout: OciLayout) -> None:
    """A manifest whose bytes changed counts as absent and is moved aside; in someone else's layout it is an error."""
    path = layout.blob_path(image.digest)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b" ")
    with pytest.raises(RegistryError, match="damaged") as caught:
        OciLayout(layout.folder, layout.name, own=False).get_manifest(image.digest)
    assert str(path) in str(caught.value)

    assert layout.get_manifest(image.digest) is None
    assert path.with_name(f"{path.name}.damaged").exists()
    assert not layout.is_whole(image.digest)


def test_a_tag_moves(layout: OciLayout) -> None:
    """The older image can still be found by its digest."""
    old, new = make_image(layout, 10), make_image(layout, 20)
    push(old, layout, layout, tags=["v1"])
    push(new, layout, layout, tags=["v1"])

    found = layout.head_manifest("v1")
    assert found is not None
    assert found.digest == new.digest
    assert layout.head_manifest(old.digest) is not None


def test_unused_blobs_are_removed_after_a_day(layout: OciLayout) -> None:
    """Those of listed images stay, and so does a blob that was stored or linked within the last day."""
    listed = make_image(layout, 10)
    unused = put(layout, OCI.layer, b"left by a build that was killed")
    os.utime(layout.blob_path(unused.digest), (0, 0))  # as of a file that the layer cache has had for years
    assert layout.prune() == 0
    assert layout.has_blob(unused.digest)

    assert layout.prune(now=lambda: time.time() + UNUSED_AFTER + 60) == unused.size
    assert not layout.has_blob(unused.digest)
    assert layout.is_whole(listed.digest)


@pytest.mark.parametrize("text", ["{", "[]", '{"manifests": 1}', "\udcff", '{"manifests": [1, {"digest": 5}]}'])
def test_a_damaged_index(text: str, layout: OciLayout) -> None:
    """Every image counts as absent and is made again; an index of someone else is an error that names the file."""
    image = make_image(layout, 10)
    (layout.folder / "index.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    theirs = OciLayout(layout.folder, layout.name, own=False)
    if "[1" not in text:
        with pytest.raises(RegistryError, match=r"index can't be read \(.*index.json\)"):
            theirs.head_manifest(image.digest)

    assert layout.head_manifest(image.digest) is None
    again = make_image(layout, 10)
    assert layout.is_whole(again.digest)
