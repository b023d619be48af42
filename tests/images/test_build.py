"""Whole builds: the image's contents, what a second build reuses, and what a failure leaves."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from fixtures.images.base_kinds import PYTHON, Kind, store, tar
from fixtures.images.stored_images import put
from prefect_vertex_training.core.errors import BaseImageError, ImageError, RegistryDenied, StorageError, WheelError
from prefect_vertex_training.core.metering.meter import Meters
from prefect_vertex_training.core.metering.reading import Reading
from prefect_vertex_training.images.base.resolve import resolve_base
from prefect_vertex_training.images.oci.config import OCI, blob_descriptor
from prefect_vertex_training.images.oci.content_tag import image_tag
from prefect_vertex_training.images.oci.image_types import BuiltImage, Descriptor
from prefect_vertex_training.images.oci.layout import OciLayout
from prefect_vertex_training.images.oci.reference import Reference
from prefect_vertex_training.images.push import push
from prefect_vertex_training.images.registry.repository import Repository


def _actions(image: BuiltImage) -> dict[str, str]:
    return {layer.title: layer.action for layer in image.layers}


def test_what_the_image_holds(demo_project, tmp_path: Path) -> None:
    """Code in /app, packages in our environment, a config that runs the script, and layers as the manifest says."""
    demo_project.write("bin/tool", "#!/bin/sh\n", executable=True)
    image = demo_project.build(
        directories=["output"], env={"SEED": "7"}, labels={"org.opencontainers.image.revision": "abc"}
    )
    config = demo_project.config(image)
    root = demo_project.unpack(image, tmp_path / "root")

    assert config["architecture"] == "amd64"
    assert config["os"] == "linux"
    assert config["config"]["Entrypoint"] == ["/opt/vertex-training/venv/bin/python", "/app/train.py"]
    assert config["config"]["WorkingDir"] == "/app"
    assert config["config"]["Env"][0].startswith("PATH=/opt/vertex-training/venv/bin:")
    assert {"PYTHONUNBUFFERED=1", "SEED=7"} <= set(config["config"]["Env"])
    labels = config["config"]["Labels"]
    assert labels["org.opencontainers.image.revision"] == "abc"
    assert labels["org.prefect-vertex-training.base"] == "none"
    assert labels["org.prefect-vertex-training.python"] == "3.11"
    assert labels["org.prefect-vertex-training.fingerprint"] == "f" * 64
    assert labels == demo_project.manifest(image)["annotations"]
    assert (root / "app/bin/tool").stat().st_mode & 0o777 == 0o755
    assert (root / "app/train.py").stat().st_mode & 0o777 == 0o644
    assert (root / "app/output").stat().st_mode & 0o777 == 0o777
    assert (
        (root / "opt/vertex-training/venv/bin/tiny").read_text().startswith("#!/opt/vertex-training/venv/bin/python\n")
    )
    assert not (root / "opt/vertex-training/venv/bin/python").exists()
    assert image.size == sum(layer["size"] for layer in demo_project.manifest(image)["layers"])
    assert image.reference == f"oci:{demo_project.store.folder}:demo@{image.digest}"
    titles = [layer.title for layer in image.layers]
    assert titles == ["big 1.0", "2 small wheels", "code 1/8", "data 14/16", "folders"]


def test_runs_with_this_python(demo_project, tmp_path: Path) -> None:
    """This machine's Python can import the unpacked packages and read their metadata."""
    root = demo_project.unpack(demo_project.build(), tmp_path / "root")
    code = "import importlib.metadata as m; print(m.version('tiny'), len(m.files('big')), m.entry_points(name='tiny'))"
    site = root / "opt/vertex-training/venv/lib/python3.11/site-packages"
    env = {**os.environ, "PYTHONPATH": str(site)}

    output = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    trained = subprocess.run(
        [sys.executable, root / "app/train.py"], env=env, capture_output=True, text=True, check=True
    )

    assert output.startswith("1.0 6 ")
    assert "tiny:X" in output
    assert trained.stdout == "trained 1 2\n"


def test_nothing_changed(demo_project) -> None:
    """A second build makes, reads and writes nothing, and asks the target nothing."""
    first = demo_project.build(upload_to=OciLayout(demo_project.cache / "target", "demo"))
    before = {path: path.stat().st_mtime_ns for path in demo_project.store.folder.rglob("*")}

    class Silent:
        def reference(self, digest: str) -> str:
            return OciLayout(demo_project.cache / "target", "demo").reference(digest)

    second = demo_project.build(upload_to=Silent())

    assert first.digest == second.digest
    assert set(_actions(second).values()) == {"reused"}
    assert before == {path: path.stat().st_mtime_ns for path in demo_project.store.folder.rglob("*")}


def test_bytes_are_counted_while_they_move(demo_project, tmp_path: Path) -> None:
    """Meters say how far layers and uploads are, and at the end that all is done; what is reused never counts."""
    target, meters = OciLayout(tmp_path / "target", "demo"), Meters()
    seen: list[Reading] = []
    first = demo_project.build(upload_to=target, meters=meters, progress=lambda _: seen.extend(meters.readings()))

    config = demo_project.manifest(first)["config"]["size"]
    made = sum(layer.size for layer in first.layers if layer.action == "uploaded")
    assert {found.what for found in seen} <= {"making layers", "uploading"}
    assert meters.readings() == ()
    assert meters["uploading"]._done >= made + config > 0
    assert meters["making layers"]._done > 0

    again = Meters()
    demo_project.build(upload_to=target, meters=again)
    assert [again[what]._done for what in ("downloading", "making layers", "uploading")] == [0, 0, 0]
    assert again.readings() == ()


def test_an_edit_makes_one_layer(demo_project) -> None:
    """After an edited line only its layer, the config and the manifest are made and sent."""
    target = OciLayout(demo_project.cache / "target", "demo")
    demo_project.write("data/a.bin", os.urandom(10_000))
    demo_project.build(upload_to=target)
    before = _blobs(target)
    demo_project.write("train.py", "print('edited')\n")

    image = demo_project.build(upload_to=target)

    made = [title for title, action in _actions(image).items() if action != "reused"]
    assert made == ["code 1/8"]
    assert len(_blobs(target) - before) == 2
    assert sum(demo_project.store.blob_path(f"sha256:{name}").stat().st_size for name in _blobs(target) - before) < 5000


def test_a_changed_small_wheel(demo_project, make_wheel, tmp_path: Path) -> None:
    """A new version of a small package changes only the layer that it is merged into."""
    demo_project.build()
    demo_project.wheels[1] = make_wheel(tmp_path / "wheels", {"small.py": b"X = 9\n"}, name="small", version="2.0")

    assert _actions(demo_project.build()) == {"big 1.0": "reused", "2 small wheels": "built", "code 1/8": "reused"}


def test_same_digest_whatever_the_circumstances(demo_project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Path, times, umask, group modes, time zone, locale, order of files and threads don't change the image."""
    for number in range(30):
        demo_project.write(f"lib{number % 5}/module{number}.py", f"X = {number}\n" * 50)
        demo_project.write(f"data{number % 4}/part{number}.bin", random.Random(number).randbytes(5000))
    expected = demo_project.build(workers=1).digest
    other = type(demo_project)(
        tmp_path / "some where/else é", OciLayout(tmp_path / "other", "demo"), tmp_path / "cache2"
    )
    other.wheels = [shutil.copy(wheel, _folder(tmp_path / "mirror") / wheel.name) for wheel in demo_project.wheels][
        ::-1
    ]
    umask = os.umask(0o077)
    try:
        for path in sorted(demo_project.root.rglob("*.*"), reverse=True):
            copy = other.write(path.relative_to(demo_project.root).as_posix(), path.read_bytes())
            copy.chmod(0o600)
            os.utime(copy, (10**9, 10**9))
        monkeypatch.setenv("TZ", "Pacific/Kiritimati")
        monkeypatch.setenv("LC_ALL", "C")
        time.tzset()
        request = other.request()

        assert other.build(workers=8, files=request.files[::-1]).digest == expected
    finally:
        os.umask(umask)
        monkeypatch.undo()
        time.tzset()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_same_digest_as_another_user(demo_project) -> None:
    """The owner of the files and the user who builds don't change the image."""
    expected = demo_project.build().digest
    nobody = 65534
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        other = _fresh(demo_project, folder)
        other.root = shutil.copytree(demo_project.root, folder / "project")
        other.wheels = [shutil.copy(wheel, _folder(folder / "wheels") / wheel.name) for wheel in demo_project.wheels]
        for path in (folder, *folder.rglob("*")):
            os.chown(path, nobody, nobody)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.setgroups([])
                os.setgid(nobody)
                os.setuid(nobody)
                status = 0 if other.build().digest == expected else 2
            finally:
                os._exit(status)

        assert os.waitpid(child, 0)[1] == 0


def test_names_in_the_lock_do_not_matter(demo_project, tmp_path: Path) -> None:
    """A lock without versions gives the same image, also after one with versions filled the cache."""
    lock = demo_project.request().lock
    bare = "\n".join(line for line in lock.splitlines() if not line.startswith("version ="))
    clean = demo_project.clean(tmp_path / "clean").build(lock=bare).digest

    assert demo_project.build(lock=lock).digest == demo_project.build(lock=bare).digest == clean


def test_time_of_the_image(demo_project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is 1970, or SOURCE_DATE_EPOCH; an invalid value is refused."""
    assert demo_project.config(demo_project.build())["created"] == "1970-01-01T00:00:00Z"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert demo_project.config(demo_project.build())["created"] == "2023-11-14T22:13:20Z"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "soon")
    with pytest.raises(ImageError, match="SOURCE_DATE_EPOCH"):
        demo_project.build()


def _fresh(demo_project, folder: Path):
    """Another machine with the same project."""
    return type(demo_project)(
        demo_project.root, OciLayout(folder / "images", "demo"), folder / "cache", demo_project.wheels
    )


def _write_data(demo_project) -> None:
    for number in range(8):
        demo_project.write(f"data{number}/part.bin", random.Random(number).randbytes(700_000))


def test_a_fresh_machine_finds_code_layers_in_the_latest_image(demo_project, tmp_path: Path) -> None:
    """Only changed layers are made and sent; the image is the same as one that is made completely."""
    _write_data(demo_project)
    target = OciLayout(tmp_path / "target", "demo")
    first = demo_project.build(upload_to=target)
    push(first, demo_project.store, target, tags=["latest"])
    demo_project.write("data3/part.bin", os.urandom(700_000))
    demo_project.write("train.py", "print('edited')\n")
    fresh = _fresh(demo_project, tmp_path / "fresh")

    image = fresh.build(upload_to=target)

    changed = [layer.title for layer, old in zip(image.layers, first.layers, strict=True) if layer.digest != old.digest]
    assert [title for title, action in _actions(image).items() if action != "reused"] == changed
    assert len(changed) == 2
    assert image.digest == demo_project.clean(tmp_path / "clean").build().digest
    pushed = push(image, fresh.store, target, tags=["latest"])
    assert target.is_whole(pushed.digest)
    assert set(_actions(fresh.build(upload_to=target)).values()) == {"reused"}


@pytest.mark.parametrize("spoiled", ["label", "blob", "config", "list"])
def test_a_latest_image_that_is_no_help(spoiled: str, demo_project, tmp_path: Path) -> None:
    """For an image of another version, without its layers or unreadable, all layers are made and sent."""
    _write_data(demo_project)
    target = OciLayout(tmp_path / "target", "demo")
    first = demo_project.build(upload_to=target)
    manifest = json.loads(demo_project.store.blob_path(first.digest).read_bytes())
    if spoiled == "label":
        config = demo_project.config(first)
        config["config"]["Labels"]["org.prefect-vertex-training.layers"] = "1 gzip"
        data = json.dumps(config).encode()
        descriptor = blob_descriptor(manifest["config"]["mediaType"], data)
        target.put_blob(descriptor, lambda: io.BytesIO(data))
        manifest["config"] |= {"digest": descriptor.digest, "size": descriptor.size}
    elif spoiled == "list":
        manifest = {"manifests": []}
    target.put_manifest(json.dumps(manifest).encode(), first.media_type, ["latest"])
    for layer in first.layers:
        if spoiled == "blob" and layer.title.startswith("data"):
            target.blob_path(layer.digest).unlink()
    if spoiled == "config":
        target.blob_path(manifest["config"]["digest"]).write_bytes(b"{}")

    image = _fresh(demo_project, tmp_path / "fresh").build(upload_to=target)

    assert image.digest == first.digest
    data_actions = {action for title, action in _actions(image).items() if title.startswith("data")}
    assert data_actions == {"uploaded"}
    assert all(target.has_blob(layer.digest) for layer in image.layers)


def test_files_that_were_only_touched(demo_project) -> None:
    """After a checkout every file has a new time: files are read again, and no layer is made."""
    first = demo_project.build()
    for path in demo_project.root.rglob("*.*"):
        os.utime(path, (10**9, 10**9))

    image = demo_project.build()

    assert image.digest == first.digest
    assert set(_actions(image).values()) == {"reused"}


def test_a_fresh_machine_asks_the_registry(demo_project, tmp_path: Path) -> None:
    """Another machine finds the dependency layers by the target's tag, without reading wheels or sending layers."""
    target = OciLayout(tmp_path / "target", "demo")
    first = demo_project.build(upload_to=target)
    fresh = type(demo_project)(
        demo_project.root, OciLayout(tmp_path / "fresh", "demo"), tmp_path / "fresh-cache", demo_project.wheels
    )
    lock = fresh.request().lock
    fresh.wheels = []
    for wheel in demo_project.wheels:
        wheel.unlink()
    before = _blobs(target)

    second = fresh.build(upload_to=target, lock=lock)

    assert second.digest == first.digest
    assert _actions(second)["big 1.0"] == "reused"
    assert _blobs(target) == before
    assert not fresh.store.has_blob(second.layers[0].digest)


def test_layers_that_are_only_in_the_registry(demo_project, tmp_path: Path) -> None:
    """Layers that were found by a target's tag are made when the image goes elsewhere or the tag is gone."""
    target = OciLayout(tmp_path / "target", "demo")
    expected = demo_project.build(upload_to=target).digest
    fresh = type(demo_project)(
        demo_project.root, OciLayout(tmp_path / "fresh", "demo"), tmp_path / "fresh-cache", demo_project.wheels
    )
    fresh.build(upload_to=target)
    fresh.write("train.py", "edited")
    assert not fresh.store.is_whole(fresh.build(upload_to=target).digest)
    fresh.write("train.py", (demo_project.root / "train.py").read_text())

    shutil.rmtree(target.folder)
    image = fresh.build(upload_to=target)
    assert fresh.store.is_whole(image.digest)

    shutil.rmtree(fresh.store.folder)
    shutil.rmtree(fresh.cache / "layers/wheels")
    image = fresh.build()
    assert fresh.store.is_whole(image.digest)
    assert expected != ""


def test_a_registry_that_lost_the_dependencies_gets_them_again(demo_project, open_registry, tmp_path: Path) -> None:
    """A machine that had found the layers in the registry makes them, and the edited image is complete there."""
    target = Repository(Reference.parse(f"{open_registry.host}/lost/demo"))
    push(demo_project.build(upload_to=target), demo_project.store, target, tags=["v1"], cache=demo_project.cache)
    fresh = type(demo_project)(
        demo_project.root, OciLayout(tmp_path / "fresh", "demo"), tmp_path / "fresh-cache", demo_project.wheels
    )
    push(fresh.build(upload_to=target), fresh.store, target, tags=["v2"], cache=fresh.cache)
    fresh.write("train.py", "edited")
    shutil.rmtree(open_registry.storage / "docker/registry/v2/repositories/lost")

    image = push(fresh.build(upload_to=target), fresh.store, target, tags=["v3"], cache=fresh.cache)

    assert open_registry.tags("lost/demo")[-1] == "v3"
    assert {layer.digest for layer in image.layers if not target.has_blob(layer.digest)} == set()
    assert "big 1.0" in {layer.title for layer in image.layers if layer.action == "uploaded"}


@pytest.mark.parametrize("lost", ["wheels", "sets", "code", "images", "everything"])
def test_lost_caches(lost: str, demo_project) -> None:
    """Whatever is deleted between two builds, the next one makes the same complete image again."""
    expected = demo_project.build().digest
    for name in ("wheels", "sets", "code") if lost == "everything" else (lost,):
        shutil.rmtree(demo_project.store.folder if name == "images" else demo_project.cache / "layers" / name)

    image = demo_project.build()

    assert image.digest == expected
    assert demo_project.store.is_whole(image.digest)


def test_layers_cut_short(demo_project) -> None:
    """Blobs that a crash of the machine cut short are found by their size and made again."""
    expected = demo_project.build(directories=["output"]).digest
    for layer in demo_project.build(directories=["output"]).layers:
        os.truncate(demo_project.store.blob_path(layer.digest), 10)

    image = demo_project.build(directories=["output"])

    assert image.digest == expected
    assert set(_actions(image).values()) == {"built"}
    demo_project.check_blobs()


def test_damaged_layer_is_not_sent(demo_project, tmp_path: Path) -> None:
    """A layer that was damaged on disk, although its time was set back, is noticed and made again before it is sent."""
    image = demo_project.build()
    layer = image.layers[0].digest
    path = demo_project.store.blob_path(layer)
    times = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    target = OciLayout(tmp_path / "target", "demo")

    assert demo_project.build(upload_to=target).digest == image.digest
    assert target.has_blob(layer)


def test_bad_wheel_leaves_nothing(demo_project) -> None:
    """A corrupt wheel ends the build in one line: no tag, and the next build is right."""
    whole = demo_project.wheels[0].read_bytes()
    request = demo_project.request()
    demo_project.wheels[0].write_bytes(whole[:-5000])
    with pytest.raises(WheelError, match=r"big-1\.0"):
        demo_project.build(lock=request.lock)

    assert not (demo_project.store.folder / "index.json").exists()
    assert not list(demo_project.cache.rglob(".*"))
    demo_project.wheels[0].write_bytes(whole)
    assert demo_project.store.is_whole(demo_project.build().digest)


def test_full_disk(demo_project, small_files) -> None:
    """A full disk is reported in one line, nothing is tagged, and the caches are intact."""
    with small_files(100_000), pytest.raises(StorageError):
        demo_project.build()

    assert not (demo_project.store.folder / "index.json").exists()
    assert demo_project.store.is_whole(demo_project.build().digest)


def test_refusal_ends_the_build_at_once(demo_project, tmp_path: Path) -> None:
    """A missing permission to push is the error that is raised, and nothing is tagged."""

    class Denying(OciLayout):
        def put_blob(self, descriptor: Descriptor, open_body: object) -> None:
            raise RegistryDenied("may not push", next_step="Ask")

    with pytest.raises(RegistryDenied):
        demo_project.build(upload_to=Denying(tmp_path / "target", "demo"))

    assert not (demo_project.store.folder / "index.json").exists()


@pytest.mark.parametrize("folder", ["app/python/bin", "opt/vertex-training/python/bin"])
def test_a_bases_python_where_our_files_go(folder: str, demo_project, tmp_path: Path) -> None:
    """It would be gone in the image, and is refused with its path; nothing is stored."""
    base_layout = OciLayout(tmp_path / "base", "base")
    store(base_layout, Kind([tar({f"{folder}/python3.11": PYTHON})], {"Env": [f"PATH=/{folder}"]}))
    base = resolve_base(f"oci:{base_layout.folder}:base:v1", cache=tmp_path / "bases", python="3.11")
    with pytest.raises(BaseImageError, match=rf"Python is at /{folder}/python3\.11, and what a base has in"):
        demo_project.build(base=base)

    assert demo_project.store.head_manifest("latest") is None


def test_script_must_be_there(demo_project) -> None:
    """An image that can't run its script isn't built."""
    with pytest.raises(ImageError, match=r"other\.py isn't among the files"):
        demo_project.build(script="other.py")


def test_killed_at_any_moment(demo_project, tmp_path: Path) -> None:
    """After kill -9 at a random moment no incomplete image is listed, and the next build is right."""
    chance = random.Random(time.time_ns())
    for number in range(24):
        if number % 4 == 0:  # cold, then with what the killed ones left
            demo_project.store = OciLayout(tmp_path / f"images{number}", "demo")
            demo_project.cache = tmp_path / f"cache{number}"
        demo_project.write("train.py", f"print({number})\n")
        child = _fork(demo_project)
        time.sleep(chance.uniform(0, 0.04))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

        listed = demo_project.store.head_manifest(image_tag("f" * 64))
        assert listed is None or demo_project.store.is_whole(listed.digest)
        if number % 2:
            image = demo_project.build()
            assert image.digest == demo_project.clean(tmp_path / f"clean{number}").build().digest
            assert demo_project.store.is_whole(image.digest)
            demo_project.check_blobs()


def test_two_processes_at_once(demo_project, tmp_path: Path) -> None:
    """Processes that build the same project concurrently get the same image, and leave intact caches."""
    children = [_fork(demo_project) for _ in range(4)]
    digest = demo_project.build().digest

    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert digest == demo_project.clean(tmp_path / "clean").build().digest
    demo_project.check_blobs()
    made = sorted(path.stem for path in (demo_project.cache / "layers/wheels").glob("*.layer"))
    assert len(made) == 4
    assert not list(demo_project.cache.rglob(".*"))


def _fork(demo_project: object) -> int:
    """Builds in a process of its own."""
    if child := os.fork():
        return child
    status = 1
    try:
        demo_project.build()  # type: ignore[attr-defined]
        status = 0
    finally:
        os._exit(status)


def test_two_at_once_in_one_process(demo_project) -> None:
    """Two concurrent builds give the same image."""
    digests: list[str] = []
    threads = [threading.Thread(target=lambda: digests.append(demo_project.build().digest)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(digests) == 3
    assert len(set(digests)) == 1


def _blobs(layout: OciLayout) -> set[str]:
    return {path.name for path in (layout.folder / "blobs/sha256").iterdir()}


def _folder(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path


def test_new_dependencies_remove_unused_blobs(demo_project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blobs that killed builds left are removed, those of listed images aren't; an edit doesn't look for any."""
    monkeypatch.setattr("prefect_vertex_training.images.oci.layout.UNUSED_AFTER", -1.0)
    unused = put(demo_project.store, OCI.layer, b"left by a build that was killed")
    image = demo_project.build()
    assert not demo_project.store.has_blob(unused.digest)
    assert demo_project.store.is_whole(image.digest)

    put(demo_project.store, OCI.layer, b"left by a build that was killed")
    demo_project.write("train.py", "print('edited')\n")
    demo_project.build()
    assert demo_project.store.has_blob(unused.digest)
