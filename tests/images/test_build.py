"""Whole builds: what the image holds, what is made again, what a failure leaves."""

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
from prefect_vertex_training.core.errors import ImageError, RegistryDenied, StorageError, WheelError
from prefect_vertex_training.images.oci.config import blob_descriptor
from prefect_vertex_training.images.oci.content_tag import image_tag
from prefect_vertex_training.images.oci.image_types import BuiltImage, Descriptor
from prefect_vertex_training.images.oci.layout import OciLayout
from prefect_vertex_training.images.oci.reference import Reference
from prefect_vertex_training.images.push import push
from prefect_vertex_training.images.registry.repository import Repository


def _actions(image: BuiltImage) -> dict[str, str]:
    return {layer.title: layer.action for layer in image.layers}


def test_what_the_image_holds(bench, tmp_path: Path) -> None:
    """Code in /app, packages in /opt/venv, a config that runs the script, and layers as the manifest says."""
    bench.write("bin/tool", "#!/bin/sh\n", executable=True)
    image = bench.build(directories=["output"], env={"SEED": "7"}, labels={"org.opencontainers.image.revision": "abc"})
    config = bench.config(image)
    root = bench.unpack(image, tmp_path / "root")

    assert config["architecture"] == "amd64"
    assert config["os"] == "linux"
    assert config["config"]["Entrypoint"] == ["/opt/venv/bin/python", "/app/train.py"]
    assert config["config"]["WorkingDir"] == "/app"
    assert config["config"]["Env"][0].startswith("PATH=/opt/venv/bin:")
    assert {"PYTHONUNBUFFERED=1", "SEED=7"} <= set(config["config"]["Env"])
    labels = config["config"]["Labels"]
    assert labels["org.opencontainers.image.revision"] == "abc"
    assert labels["org.prefect-vertex-training.base"] == "none"
    assert labels["org.prefect-vertex-training.python"] == "3.11"
    assert labels["org.prefect-vertex-training.fingerprint"] == "f" * 64
    assert labels == bench.manifest(image)["annotations"]
    assert (root / "app/bin/tool").stat().st_mode & 0o777 == 0o755
    assert (root / "app/train.py").stat().st_mode & 0o777 == 0o644
    assert (root / "app/output").stat().st_mode & 0o777 == 0o777
    assert (root / "opt/venv/bin/tiny").read_text().startswith("#!/opt/venv/bin/python\n")
    assert not (root / "opt/venv/bin/python").exists()
    assert image.size == sum(layer["size"] for layer in bench.manifest(image)["layers"])
    assert image.reference == f"oci:{bench.store.folder}:demo@{image.digest}"
    titles = [layer.title for layer in image.layers]
    assert titles == ["big 1.0", "2 small wheels", "code 1/8", "data 14/16", "folders"]


def test_runs_with_this_python(bench, tmp_path: Path) -> None:
    """Unpacked, the packages serve the Python of this machine, metadata included."""
    root = bench.unpack(bench.build(), tmp_path / "root")
    code = "import importlib.metadata as m; print(m.version('tiny'), len(m.files('big')), m.entry_points(name='tiny'))"
    site = root / "opt/venv/lib/python3.11/site-packages"
    env = {**os.environ, "PYTHONPATH": str(site)}

    output = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    trained = subprocess.run(
        [sys.executable, root / "app/train.py"], env=env, capture_output=True, text=True, check=True
    )

    assert output.startswith("1.0 6 ")
    assert "tiny:X" in output
    assert trained.stdout == "trained 1 2\n"


def test_nothing_changed(bench) -> None:
    """A second build makes, reads and writes nothing, and asks the target nothing."""
    first = bench.build(upload_to=OciLayout(bench.cache / "target", "demo"))
    before = {path: path.stat().st_mtime_ns for path in bench.store.folder.rglob("*")}

    class Silent:
        def reference(self, digest: str) -> str:
            return OciLayout(bench.cache / "target", "demo").reference(digest)

    second = bench.build(upload_to=Silent())

    assert first.digest == second.digest
    assert set(_actions(second).values()) == {"reused"}
    assert before == {path: path.stat().st_mtime_ns for path in bench.store.folder.rglob("*")}


def test_an_edit_makes_one_layer(bench) -> None:
    """An edited line makes its layer, the config and the manifest, and sends no more."""
    target = OciLayout(bench.cache / "target", "demo")
    bench.write("data/a.bin", os.urandom(10_000))
    bench.build(upload_to=target)
    before = _blobs(target)
    bench.write("train.py", "print('edited')\n")

    image = bench.build(upload_to=target)

    made = [title for title, action in _actions(image).items() if action != "reused"]
    assert made == ["code 1/8"]
    assert len(_blobs(target) - before) == 2
    assert sum(bench.store.blob_path(f"sha256:{name}").stat().st_size for name in _blobs(target) - before) < 5000


def test_a_changed_small_wheel(bench, make_wheel, tmp_path: Path) -> None:
    """A bumped package beside a big one makes its own layer and the one it is joined to."""
    bench.build()
    bench.wheels[1] = make_wheel(tmp_path / "wheels", {"small.py": b"X = 9\n"}, name="small", version="2.0")

    assert _actions(bench.build()) == {"big 1.0": "reused", "2 small wheels": "built", "code 1/8": "reused"}


def test_same_digest_whatever_the_circumstances(bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Path, times, umask, modes of groups, time zone, locale, order of creation and of files, threads: no influence."""
    for number in range(30):
        bench.write(f"lib{number % 5}/module{number}.py", f"X = {number}\n" * 50)
        bench.write(f"data{number % 4}/part{number}.bin", random.Random(number).randbytes(5000))
    expected = bench.build(workers=1).digest
    other = type(bench)(tmp_path / "some where/else é", OciLayout(tmp_path / "other", "demo"), tmp_path / "cache2")
    other.wheels = [shutil.copy(wheel, _folder(tmp_path / "mirror") / wheel.name) for wheel in bench.wheels][::-1]
    umask = os.umask(0o077)
    try:
        for path in sorted(bench.root.rglob("*.*"), reverse=True):
            copy = other.write(path.relative_to(bench.root).as_posix(), path.read_bytes())
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
def test_same_digest_as_another_user(bench) -> None:
    """Files that belong to somebody else, built by somebody else: the image is root's all the same."""
    expected = bench.build().digest
    nobody = 65534
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        other = _fresh(bench, folder)
        other.root = shutil.copytree(bench.root, folder / "project")
        other.wheels = [shutil.copy(wheel, _folder(folder / "wheels") / wheel.name) for wheel in bench.wheels]
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


def test_names_in_the_lock_do_not_matter(bench, tmp_path: Path) -> None:
    """A lock without versions gives the same image, also after one with versions filled the cache."""
    lock = bench.request().lock
    bare = "\n".join(line for line in lock.splitlines() if not line.startswith("version ="))
    clean = bench.clean(tmp_path / "clean").build(lock=bare).digest

    assert bench.build(lock=lock).digest == bench.build(lock=bare).digest == clean


def test_time_of_the_image(bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """1970, unless SOURCE_DATE_EPOCH says another time; nonsense there is refused."""
    assert bench.config(bench.build())["created"] == "1970-01-01T00:00:00Z"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert bench.config(bench.build())["created"] == "2023-11-14T22:13:20Z"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "soon")
    with pytest.raises(ImageError, match="SOURCE_DATE_EPOCH"):
        bench.build()


def _fresh(bench, folder: Path):
    """Another machine with the same project."""
    return type(bench)(bench.root, OciLayout(folder / "images", "demo"), folder / "cache", bench.wheels)


def _write_data(bench) -> None:
    for number in range(8):
        bench.write(f"data{number}/part.bin", random.Random(number).randbytes(700_000))


def test_a_fresh_machine_finds_code_layers_in_the_latest_image(bench, tmp_path: Path) -> None:
    """Only what changed since is made and sent; the image is the same as if all of it were made."""
    _write_data(bench)
    target = OciLayout(tmp_path / "target", "demo")
    first = bench.build(upload_to=target)
    push(first, bench.store, target, tags=["latest"])
    bench.write("data3/part.bin", os.urandom(700_000))
    bench.write("train.py", "print('edited')\n")
    fresh = _fresh(bench, tmp_path / "fresh")

    image = fresh.build(upload_to=target)

    changed = [layer.title for layer, old in zip(image.layers, first.layers, strict=True) if layer.digest != old.digest]
    assert [title for title, action in _actions(image).items() if action != "reused"] == changed
    assert len(changed) == 2
    assert image.digest == bench.clean(tmp_path / "clean").build().digest
    pushed = push(image, fresh.store, target, tags=["latest"])
    assert target.is_whole(pushed.digest)
    assert set(_actions(fresh.build(upload_to=target)).values()) == {"reused"}


@pytest.mark.parametrize("spoiled", ["label", "blob", "config", "list"])
def test_a_latest_image_that_is_no_help(spoiled: str, bench, tmp_path: Path) -> None:
    """Another version's image, one whose layers are gone, one that can't be read: all is made, and sent."""
    _write_data(bench)
    target = OciLayout(tmp_path / "target", "demo")
    first = bench.build(upload_to=target)
    manifest = json.loads(bench.store.blob_path(first.digest).read_bytes())
    if spoiled == "label":
        config = bench.config(first)
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

    image = _fresh(bench, tmp_path / "fresh").build(upload_to=target)

    assert image.digest == first.digest
    data_actions = {action for title, action in _actions(image).items() if title.startswith("data")}
    assert data_actions == {"uploaded"}
    assert all(target.has_blob(layer.digest) for layer in image.layers)


def test_files_that_were_only_touched(bench) -> None:
    """A checkout gives every file a new time: they are read again, and no layer is made."""
    first = bench.build()
    for path in bench.root.rglob("*.*"):
        os.utime(path, (10**9, 10**9))

    image = bench.build()

    assert image.digest == first.digest
    assert set(_actions(image).values()) == {"reused"}


def test_a_fresh_machine_asks_the_registry(bench, tmp_path: Path) -> None:
    """Another machine gets the dependencies' layers from the target's tag: no wheel is read, no layer is sent."""
    target = OciLayout(tmp_path / "target", "demo")
    first = bench.build(upload_to=target)
    fresh = type(bench)(bench.root, OciLayout(tmp_path / "fresh", "demo"), tmp_path / "fresh-cache", bench.wheels)
    lock = fresh.request().lock
    fresh.wheels = []
    for wheel in bench.wheels:
        wheel.unlink()
    before = _blobs(target)

    second = fresh.build(upload_to=target, lock=lock)

    assert second.digest == first.digest
    assert _actions(second)["big 1.0"] == "reused"
    assert _blobs(target) == before
    assert not fresh.store.has_blob(second.layers[0].digest)


def test_layers_that_are_only_in_the_registry(bench, tmp_path: Path) -> None:
    """What was only taken from a target's tag is made after all when the image goes elsewhere or the tag is gone."""
    target = OciLayout(tmp_path / "target", "demo")
    expected = bench.build(upload_to=target).digest
    fresh = type(bench)(bench.root, OciLayout(tmp_path / "fresh", "demo"), tmp_path / "fresh-cache", bench.wheels)
    fresh.build(upload_to=target)
    fresh.write("train.py", "edited")
    assert not fresh.store.is_whole(fresh.build(upload_to=target).digest)
    fresh.write("train.py", (bench.root / "train.py").read_text())

    shutil.rmtree(target.folder)
    image = fresh.build(upload_to=target)
    assert fresh.store.is_whole(image.digest)

    shutil.rmtree(fresh.store.folder)
    shutil.rmtree(fresh.cache / "layers/wheels")
    image = fresh.build()
    assert fresh.store.is_whole(image.digest)
    assert expected != ""


def test_a_registry_that_lost_the_dependencies_gets_them_again(bench, open_registry, tmp_path: Path) -> None:
    """A machine that had only taken them from there makes them after all: the edited image is whole in the registry."""
    target = Repository(Reference.parse(f"{open_registry.host}/lost/demo"))
    push(bench.build(upload_to=target), bench.store, target, tags=["v1"], cache=bench.cache)
    fresh = type(bench)(bench.root, OciLayout(tmp_path / "fresh", "demo"), tmp_path / "fresh-cache", bench.wheels)
    push(fresh.build(upload_to=target), fresh.store, target, tags=["v2"], cache=fresh.cache)
    fresh.write("train.py", "edited")
    shutil.rmtree(open_registry.storage / "docker/registry/v2/repositories/lost")

    image = push(fresh.build(upload_to=target), fresh.store, target, tags=["v3"], cache=fresh.cache)

    assert open_registry.tags("lost/demo")[-1] == "v3"
    assert {layer.digest for layer in image.layers if not target.has_blob(layer.digest)} == set()
    assert "big 1.0" in {layer.title for layer in image.layers if layer.action == "uploaded"}


@pytest.mark.parametrize("lost", ["wheels", "sets", "code", "images", "everything"])
def test_lost_caches(lost: str, bench) -> None:
    """Whatever is deleted between two builds, the next one makes the same image again, whole."""
    expected = bench.build().digest
    for name in ("wheels", "sets", "code") if lost == "everything" else (lost,):
        shutil.rmtree(bench.store.folder if name == "images" else bench.cache / "layers" / name)

    image = bench.build()

    assert image.digest == expected
    assert bench.store.is_whole(image.digest)


def test_layers_cut_short(bench) -> None:
    """Blobs that a crash of the machine left short are noticed by their size and made again."""
    expected = bench.build(directories=["output"]).digest
    for layer in bench.build(directories=["output"]).layers:
        os.truncate(bench.store.blob_path(layer.digest), 10)

    image = bench.build(directories=["output"])

    assert image.digest == expected
    assert set(_actions(image).values()) == {"built"}
    bench.check_blobs()


def test_damaged_layer_is_not_sent(bench, tmp_path: Path) -> None:
    """A layer that rotted on disk is refused by the target, removed, and made anew by the next try."""
    image = bench.build()
    layer = image.layers[0].digest
    path = bench.store.blob_path(layer)
    times = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    target = OciLayout(tmp_path / "target", "demo")

    with pytest.raises(ImageError, match="was damaged on this disk") as caught:
        bench.build(upload_to=target)
    assert caught.value.transient
    assert bench.build(upload_to=target).digest == image.digest
    assert target.has_blob(layer)


def test_bad_wheel_leaves_nothing(bench) -> None:
    """A corrupt wheel ends the build in one line: no tag, and the next build is right."""
    whole = bench.wheels[0].read_bytes()
    request = bench.request()
    bench.wheels[0].write_bytes(whole[:-5000])
    with pytest.raises(WheelError, match=r"big-1\.0"):
        bench.build(lock=request.lock)

    assert not (bench.store.folder / "index.json").exists()
    assert not list(bench.cache.rglob(".*"))
    bench.wheels[0].write_bytes(whole)
    assert bench.store.is_whole(bench.build().digest)


def test_full_disk(bench, small_files) -> None:
    """A full disk is one line, nothing is tagged, and the caches are intact."""
    with small_files(100_000), pytest.raises(StorageError):
        bench.build()

    assert not (bench.store.folder / "index.json").exists()
    assert bench.store.is_whole(bench.build().digest)


def test_refusal_ends_the_build_at_once(bench, tmp_path: Path) -> None:
    """Who may not push hears just that, and nothing is tagged."""

    class Denying(OciLayout):
        def put_blob(self, descriptor: Descriptor, open_body: object) -> None:
            raise RegistryDenied("may not push", next_step="Ask")

    with pytest.raises(RegistryDenied):
        bench.build(upload_to=Denying(tmp_path / "target", "demo"))

    assert not (bench.store.folder / "index.json").exists()


def test_script_must_be_there(bench) -> None:
    """An image that can't run its script isn't built."""
    with pytest.raises(ImageError, match=r"other\.py isn't among the files"):
        bench.build(script="other.py")


def test_killed_at_any_moment(bench, tmp_path: Path) -> None:
    """After kill -9 at a random moment no half-made image is listed, and the next build is right."""
    chance = random.Random(time.time_ns())
    for number in range(24):
        if number % 4 == 0:  # cold, then with what the killed ones left
            bench.store = OciLayout(tmp_path / f"images{number}", "demo")
            bench.cache = tmp_path / f"cache{number}"
        bench.write("train.py", f"print({number})\n")
        child = _fork(bench)
        time.sleep(chance.uniform(0, 0.04))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

        listed = bench.store.head_manifest(image_tag("f" * 64))
        assert listed is None or bench.store.is_whole(listed.digest)
        if number % 2:
            image = bench.build()
            assert image.digest == bench.clean(tmp_path / f"clean{number}").build().digest
            assert bench.store.is_whole(image.digest)
            bench.check_blobs()


def test_two_processes_at_once(bench, tmp_path: Path) -> None:
    """Processes that build the same project at once get the same image, and leave whole caches."""
    children = [_fork(bench) for _ in range(4)]
    digest = bench.build().digest

    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert digest == bench.clean(tmp_path / "clean").build().digest
    bench.check_blobs()
    made = sorted(path.stem for path in (bench.cache / "layers/wheels").glob("*.layer"))
    assert len(made) == 4
    assert not list(bench.cache.rglob(".*"))


def _fork(bench: object) -> int:
    """Builds in a process of its own."""
    if child := os.fork():
        return child
    status = 1
    try:
        bench.build()  # type: ignore[attr-defined]
        status = 0
    finally:
        os._exit(status)


def test_two_at_once_in_one_process(bench) -> None:
    """Two builds at once give the same image."""
    digests: list[str] = []
    threads = [threading.Thread(target=lambda: digests.append(bench.build().digest)) for _ in range(3)]
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
