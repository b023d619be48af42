"""The runtime in an image: its layer, the entry point, and images that stay what they are without it."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prefect_vertex_training.core.errors import ImageError
from prefect_vertex_training.images.oci.config import DOCKER, OCI, blob_descriptor, image_manifest, layer_descriptor
from prefect_vertex_training.images.oci.content_tag import image_fingerprint
from prefect_vertex_training.images.oci.image_types import BuiltImage
from prefect_vertex_training.images.oci.layout import OciLayout
from prefect_vertex_training.images.plan import BaseLookup, plan_direct
from prefect_vertex_training.images.runtime_layer import add_runtime, launcher, runtime_digest, write_runtime

RUNTIME = Path(__file__).parents[2] / "runtime"
SOURCES = sorted(path.relative_to(RUNTIME).as_posix() for path in RUNTIME.rglob("*.py"))


def test_the_layer_holds_the_sources_and_nothing_else() -> None:
    """Every module, readable by any user; the bytes are the same each time."""
    first, second = io.BytesIO(), io.BytesIO()
    layer = write_runtime(first)

    assert write_runtime(second) == layer
    assert layer.diff_id == runtime_digest()
    first.seek(0)
    with tarfile.open(fileobj=first) as archive:
        found = {member.name: member for member in archive if member.isfile()}
    assert sorted(found) == [f"opt/vertex-training/runtime/{name}" for name in SOURCES]
    assert {member.mode for member in found.values()} == {0o644}


def test_a_direct_build_has_one_more_layer(demo_project: Any, tmp_path: Path) -> None:
    """Only a project that needs the runtime gets its layer and its words; all other layers are the same."""
    demo_project.write("train.py", "print(1)\n")
    plain = demo_project.build()
    with_runtime = demo_project.build(runtime_features=("outputs",))

    entry = demo_project.config(plain)["config"]["Entrypoint"]
    assert demo_project.config(with_runtime)["config"]["Entrypoint"] == [
        *launcher("/opt/vertex-training/venv/bin/python"),
        *entry,
    ]
    layers = [layer.digest for layer in plain.layers]
    more = [layer for layer in with_runtime.layers if layer.digest not in layers]
    assert [layer.title for layer in more] == ["runtime"]
    assert [layer.digest for layer in with_runtime.layers if layer not in more] == layers
    root = demo_project.unpack(with_runtime, tmp_path / "root")
    runtime = root / "opt/vertex-training/runtime"
    assert sorted(path.relative_to(runtime).as_posix() for path in runtime.rglob("*.py")) == SOURCES


def test_the_fingerprint_changes_only_with_the_runtime(demo_project: Any) -> None:
    """A project without it keeps its fingerprint, so that its images are found; a newer runtime is another image."""
    demo_project.write("train.py", "print(1)\n")

    def planned(**changes: Any) -> str:
        request = replace(demo_project.request(), **changes)
        lookup = BaseLookup(demo_project.cache, lambda _: None, lambda: pytest.fail("no engine is needed"))
        plan = plan_direct(request, demo_project.store, None, project_fingerprint="p", lock_digest="l", lookup=lookup)
        return plan.request.fingerprint

    plain = image_fingerprint("p", "l", base_digest="", builder="direct")
    assert planned() == plain
    assert planned(runtime_features=("outputs",)) == image_fingerprint(
        "p", "l", base_digest="", builder="direct", content=[f"runtime={runtime_digest()}"]
    )


@pytest.fixture(params=[OCI, DOCKER], ids=["OCI", "Docker"])
def stored(request: pytest.FixtureRequest, layout: OciLayout) -> BuiltImage:
    """An image of another builder in the layout, in each format, with an entry point and a command."""
    types = request.param
    layer = write_runtime(io.BytesIO())
    base = replace(layer, title="base")
    data = io.BytesIO()
    write_runtime(data)
    layout.put_blob(layer_descriptor(types, base), lambda: io.BytesIO(data.getvalue()))
    document = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/bin/sh", "-c", "run"], "Cmd": ["--x"], "User": "trainer", "Env": ["A=b"]},
        "rootfs": {"type": "layers", "diff_ids": [base.diff_id]},
        "history": [{"created_by": "base"}, {"created_by": "ENV A=b", "empty_layer": True}],
        "variant": "v1",
    }
    config = json.dumps(document).encode()
    descriptor = blob_descriptor(types.config, config)
    layout.put_blob(descriptor, lambda: io.BytesIO(config))
    manifest = layout.put_manifest(
        image_manifest(types, descriptor, [], [layer_descriptor(types, base)], {"note": "kept"}), types.manifest
    )
    return BuiltImage(layout.reference(manifest.digest), manifest.digest, types.manifest, layer.size, (), "docker")


def test_the_runtime_on_top_of_any_image(layout: OciLayout, stored: BuiltImage) -> None:
    """One layer more; the entry point becomes arguments, and everything else stays as the builder wrote it."""
    image = add_runtime(stored, layout, "/usr/bin/python3", ["v1"])

    assert layout.is_whole(image.digest)
    tagged = layout.get_manifest("v1")
    assert tagged is not None
    assert (tagged[0].digest, tagged[0].media_type) == (image.digest, stored.media_type)
    before, after = (json.loads(layout.blob_path(digest).read_bytes()) for digest in (stored.digest, image.digest))
    assert after["layers"][:-1] == before["layers"]
    assert {key: value for key, value in after.items() if key not in {"config", "layers"}} == {
        key: value for key, value in before.items() if key not in {"config", "layers"}
    }
    old, new = (json.loads(layout.blob_path(manifest["config"]["digest"]).read_bytes()) for manifest in (before, after))
    assert new["config"] == {
        **old["config"],
        "Entrypoint": ["/usr/bin/python3", "-IB", "/opt/vertex-training/runtime", "--", "/bin/sh", "-c", "run"],
    }
    assert new["rootfs"]["diff_ids"] == [*old["rootfs"]["diff_ids"], runtime_digest()]
    assert len([step for step in new["history"] if not step.get("empty_layer")]) == len(new["rootfs"]["diff_ids"])
    assert new["variant"] == "v1"
    assert add_runtime(stored, layout, "/usr/bin/python3", ["v1"]).digest == image.digest


def test_a_command_in_place_of_the_image_s_own(layout: OciLayout, stored: BuiltImage) -> None:
    """The runtime starts it; the image's CMD would be its arguments, so it is gone."""
    image = add_runtime(stored, layout, "/usr/bin/python3", ["v1"], ["bash", "run.sh"])

    manifest = json.loads(layout.blob_path(image.digest).read_bytes())
    config = json.loads(layout.blob_path(manifest["config"]["digest"]).read_bytes())["config"]
    assert config["Entrypoint"][-3:] == ["--", "bash", "run.sh"]
    assert "Cmd" not in config


def test_an_image_that_is_gone(layout: OciLayout, stored: BuiltImage) -> None:
    """The error names the image and the next step."""
    with pytest.raises(ImageError, match=r"no image to add the runtime to.*Run again"):
        add_runtime(replace(stored, digest=f"sha256:{'0' * 64}"), layout, "/usr/bin/python3", ["v1"])
