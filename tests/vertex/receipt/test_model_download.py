"""Downloads of models: every file is checked against the receipt, resumed, and never overwrites anything."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from fixtures.google.object_store import object_store  # noqa: F401 - a fixture
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.core.errors import StorageError, VertexError, VertexUnavailable
from prefect_vertex_training.core.metering.meter import Meters
from prefect_vertex_training.vertex.client.call_context import CallContext
from prefect_vertex_training.vertex.client.storage import CloudStore, FolderStore, Sink
from prefect_vertex_training.vertex.receipt import model_download
from prefect_vertex_training.vertex.receipt.model_download import PARTS, download
from prefect_vertex_training.vertex.receipt.recorded_model import RecordedModel, recorded_model

OUTPUT = "gs://local/digits/run 1"
FILES = {
    "model.bin": os.urandom(5_000_000),
    "metrics.json": b"{}",
    "deep/er/vocab.txt": b"",
    "deep/ü x.bin": os.urandom(300_000),
}


def receipt(files: Mapping[str, bytes]) -> bytes:
    """A receipt document of these files."""
    listed = [
        {"path": path, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for path, data in files.items()
    ]
    return json.dumps({"version": 1, "output": OUTPUT, "flow_run": "run 1", "files": listed}).encode()


def save(root: Path, files: Mapping[str, bytes]) -> RecordedModel:
    """Saves a model with its receipt in a folder that plays the bucket."""
    output = root / OUTPUT.removeprefix("gs://")
    output.mkdir(parents=True)
    for path, data in files.items():
        target = output / "model" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    (output / "receipt.json").write_bytes(receipt(files))
    found = recorded_model(FolderStore(root), OUTPUT)
    assert found is not None
    return found


def contents(folder: Path) -> dict[str, bytes]:
    """Every file in a folder, hidden ones too."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def model(tmp_path: Path) -> RecordedModel:
    """The saved model."""
    return save(tmp_path / "buckets", FILES)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """Where it is."""
    return FolderStore(tmp_path / "buckets")


class Cut(FolderStore):
    """A store whose connections break after some bytes, as often as told; `reads` notes where reads began."""

    def __init__(self, root: Path, after: int, times: int) -> None:
        super().__init__(root)
        self.after, self.times, self.reads = after, times, []

    def read(self, uri: str, sink: Sink, start: int = 0) -> None:
        self.reads.append((uri.rpartition("/")[2], start))
        data = (self.root / uri.removeprefix("gs://")).read_bytes()[start:]
        if self.times > 0 and len(data) > self.after:
            self.times -= 1
            sink.write(data[: self.after])
            raise VertexUnavailable("the connection was cut")
        sink.write(data)


def test_every_file_arrives_whole(store: FolderStore, model: RecordedModel, tmp_path: Path) -> None:
    """In a new folder, with its subfolders, and nothing else in it."""
    done = download(store, model, tmp_path / "new" / "folder")

    assert contents(tmp_path / "new/folder") == FILES
    assert done.fetched == tuple(sorted(FILES))


def test_the_same_from_an_object_store(object_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """With Google's own client, also where a part of the largest file is there already."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", object_store)
    client = storage.Client(project="p", credentials=AnonymousCredentials())
    bucket = client.create_bucket(f"b{time.time_ns()}")
    output = f"gs://{bucket.name}/digits/run"
    for path, data in FILES.items():
        bucket.blob(f"digits/run/model/{path}").upload_from_string(data)
    bucket.blob("digits/run/receipt.json").upload_from_string(receipt(FILES).replace(OUTPUT.encode(), output.encode()))
    cloud = CloudStore("p", AnonymousCredentials(), lambda what, where: CallContext(what, where, "p", "r", "", False))
    model = recorded_model(cloud, output)
    assert model is not None
    (tmp_path / PARTS).mkdir()
    part = tmp_path / PARTS / model_download._part_name(next(file for file in model.files if file.path == "model.bin"))
    part.write_bytes(FILES["model.bin"][:3_000_000])
    received: list[int] = []
    read = cloud.read

    def noted(uri: str, sink: Sink, start: int = 0) -> None:
        received.append(start)
        read(uri, sink, start)

    monkeypatch.setattr(cloud, "read", noted)
    download(cloud, model, tmp_path)

    assert contents(tmp_path) == FILES
    assert sorted(received) == [0, 0, 3_000_000]
    assert cloud.folders(f"gs://{bucket.name}") == ["digits"]
    assert cloud.folders(f"gs://{bucket.name}/digits") == ["run"]


def test_what_is_there_is_not_fetched_again(store: FolderStore, model: RecordedModel, tmp_path: Path) -> None:
    """A second download reads the files of the folder alone."""
    folder = tmp_path / "out"
    download(store, model, folder)
    (folder / "metrics.json").unlink()
    again = Cut(store.root, 0, 0)

    assert download(again, model, folder).fetched == ("metrics.json",)
    assert again.reads == [("metrics.json", 0)]
    assert download(Cut(store.root, 0, 99), model, folder).fetched == ()


def test_a_cut_connection_goes_on_where_it_was(
    store: FolderStore, model: RecordedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within one download, without a byte read twice."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    cut = Cut(store.root, 2_000_000, times=2)
    download(cut, model, tmp_path / "out", threads=1)

    assert contents(tmp_path / "out") == FILES
    assert [start for name, start in cut.reads if name == "model.bin"] == [0, 2_000_000, 4_000_000]


def test_a_killed_download_is_resumed(model: RecordedModel, store: FolderStore, tmp_path: Path) -> None:
    """Kill -9 in the middle of a file: the next download reads only what is missing."""
    folder = tmp_path / "out"
    program = f"""
import os, sys
sys.path[:0] = {sys.path!r}
from prefect_vertex_training.vertex.client.storage import FolderStore
from prefect_vertex_training.vertex.receipt.model_download import download
from prefect_vertex_training.vertex.receipt.recorded_model import recorded_model
from pathlib import Path

class Stuck(FolderStore):
    def read(self, uri, sink, start=0):
        if not uri.endswith("model.bin"):
            return super().read(uri, sink, start)
        sink.write((self.root / uri.removeprefix("gs://")).read_bytes()[:3_000_000])
        sink._stream.flush()
        print("here", flush=True)
        os.read(0, 1)

store = Stuck(Path({str(store.root)!r}))
download(store, recorded_model(store, {OUTPUT!r}), Path({str(folder)!r}))
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == b"here\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert "model.bin" not in contents(folder)

    again = Cut(store.root, 0, 0)
    download(again, model, folder)

    assert contents(folder) == FILES
    assert ("model.bin", 3_000_000) in again.reads


@pytest.mark.parametrize("begun", [b"\0" * 1_000_000, os.urandom(6_000_000), FILES["model.bin"][:-1] + b"x"])
def test_wrong_bytes_of_an_earlier_download_are_replaced(
    store: FolderStore, model: RecordedModel, tmp_path: Path, begun: bytes
) -> None:
    """A machine that crashed may leave anything in a part; the file is read again from its beginning."""
    (tmp_path / "out" / PARTS).mkdir(parents=True)
    big = next(file for file in model.files if file.path == "model.bin")
    (tmp_path / "out" / PARTS / model_download._part_name(big)).write_bytes(begun)
    download(store, model, tmp_path / "out")

    assert contents(tmp_path / "out") == FILES


@pytest.mark.parametrize(
    ("there", "named"),
    [
        ({"notes.txt": b"mine"}, "notes.txt"),
        ({"metrics.json": b"{} "}, "metrics.json is there already"),
        ({"metrics.json": b"[]"}, "metrics.json is there already"),
        ({"other/x": b""}, "other/"),
        ({"deep/mine": b""}, "deep/mine"),
        ({f"{PARTS}/part of another model": b"1"}, "part of another model"),
        ({f"{n}": b"" for n in range(9)}, "0, 1, 2 and 6 more"),
    ],
)
def test_other_files_are_never_touched(
    store: FolderStore, model: RecordedModel, tmp_path: Path, there: dict[str, bytes], named: str
) -> None:
    """A folder that holds anything else is refused, and stays as it was."""
    folder = tmp_path / "out"
    for path, data in there.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)

    with pytest.raises(StorageError, match="overwrites nothing") as caught:
        download(store, model, folder)

    assert named in str(caught.value)
    assert contents(folder) == there


def test_links_are_not_followed(store: FolderStore, model: RecordedModel, tmp_path: Path) -> None:
    """A link in the folder would put files somewhere else."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/deep").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StorageError, match="deep"):
        download(store, model, tmp_path / "out")

    assert contents(tmp_path / "elsewhere") == {}


def test_a_file_that_comes_meanwhile_is_kept(store: FolderStore, model: RecordedModel, tmp_path: Path) -> None:
    """Somebody saves a file of that name during the download."""
    folder = tmp_path / "out"

    class Busy(FolderStore):
        def read(self, uri: str, sink: Sink, start: int = 0) -> None:
            (folder / "model.bin").write_bytes(b"mine")
            super().read(uri, sink, start)

    with pytest.raises(StorageError, match="came to this place"):
        download(Busy(store.root), model, folder, threads=1)

    assert (folder / "model.bin").read_bytes() == b"mine"


def test_a_changed_file_is_refused(store: FolderStore, model: RecordedModel, tmp_path: Path) -> None:
    """The message has both checksums; nothing of the wrong file is left, and a new folder is gone again."""
    (store.root / "local/digits/run 1/model/model.bin").write_bytes(b"x" * 5_000_000)

    with pytest.raises(VertexError, match=r"model\.bin in the bucket is not the file of the receipt") as caught:
        download(store, model, tmp_path / "new" / "out", threads=1)

    assert hashlib.sha256(FILES["model.bin"]).hexdigest()[:12] in str(caught.value)
    assert hashlib.sha256(b"x" * 5_000_000).hexdigest()[:12] in str(caught.value)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("longer", [False, True])
def test_a_file_of_another_size_is_refused(
    store: FolderStore, model: RecordedModel, tmp_path: Path, longer: bool
) -> None:
    """Shorter or longer than the receipt says."""
    data = FILES["model.bin"]
    (store.root / "local/digits/run 1/model/model.bin").write_bytes(data + b"1" if longer else data[:-1])

    with pytest.raises(VertexError, match="not the file of the receipt"):
        download(store, model, tmp_path / "out")


def test_a_file_that_is_gone_is_named(store: FolderStore, model: RecordedModel, tmp_path: Path) -> None:
    """The others are kept for the next try."""
    (store.root / "local/digits/run 1/model/model.bin").unlink()

    with pytest.raises(VertexError, match=r"No such file.*model\.bin"):
        download(store, model, tmp_path / "out", threads=1)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Lets this process write no file beyond a size, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_one_line_and_nothing_is_lost(store: FolderStore, model: RecordedModel, tmp_path: Path) -> None:
    """The download goes on when there is room."""
    folder = tmp_path / "out"
    with largest_file(3_000_000), pytest.raises(StorageError, match="can't write the model: file too large") as caught:
        download(store, model, folder, threads=1)
    assert "run again" in str(caught.value)

    again = Cut(store.root, 0, 0)
    download(again, model, folder)
    assert contents(folder) == FILES
    assert ("model.bin", 0) not in again.reads


def test_too_little_space_is_told_before_anything_is_fetched(
    store: FolderStore, model: RecordedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With both figures."""
    monkeypatch.setattr(model_download.shutil, "disk_usage", lambda _: _Usage())

    with pytest.raises(StorageError, match=r"needs 5\.3 MB, and the disk has 1\.0 MB left"):
        download(store, model, tmp_path / "new")

    assert not (tmp_path / "new").exists()


class _Usage:
    free = 1_000_000


def test_a_place_that_can_not_be_a_folder_is_one_line(store: FolderStore, model: RecordedModel, tmp_path: Path) -> None:
    """A file, a folder below a file, a file system that takes no folders."""
    (tmp_path / "file").write_text("mine")

    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/model")):
        with pytest.raises(StorageError) as caught:
            download(store, model, place)
        assert "\n" not in str(caught.value)
    assert (tmp_path / "file").read_text() == "mine"


def test_two_downloads_to_one_folder_do_not_mix(store: FolderStore, model: RecordedModel, tmp_path: Path) -> None:
    """The second says that another one writes there; the first ends well."""
    folder, begun, go_on = tmp_path / "out", threading.Event(), threading.Event()

    class Slow(FolderStore):
        def read(self, uri: str, sink: Sink, start: int = 0) -> None:
            begun.set()
            assert go_on.wait(60)
            super().read(uri, sink, start)

    first = threading.Thread(target=download, args=(Slow(store.root), model, folder))
    first.start()
    assert begun.wait(60)
    with pytest.raises(StorageError, match="another download writes to this folder"):
        download(store, model, folder)
    go_on.set()
    first.join()

    assert contents(folder) == FILES


def test_the_first_failure_ends_the_others(store: FolderStore, tmp_path: Path) -> None:
    """A refusal is told at once, not after gigabytes of other files; and it is told itself, not that others stopped."""
    files = {f"{n:02}": bytes([n]) * (100 - n) for n in range(60)}
    model = save(store.root, files)
    reads: list[str] = []

    class Refusing(FolderStore):
        def read(self, uri: str, sink: Sink, start: int = 0) -> None:
            reads.append(uri)
            if uri.endswith("/03"):
                raise VertexError("no permission", where=uri)
            super().read(uri, sink, start)

    with pytest.raises(VertexError, match="no permission"):
        download(Refusing(store.root), model, tmp_path / "out", threads=2)

    assert len(reads) < 60


def test_bytes_are_counted(store: FolderStore, model: RecordedModel, tmp_path: Path) -> None:
    """While a download runs its meter says how far it is; afterwards nothing goes on."""
    meters, seen = Meters(), []

    class Noting(FolderStore):
        def read(self, uri: str, sink: Sink, start: int = 0) -> None:
            super().read(uri, sink, start)
            seen.extend(meters.readings())

    download(Noting(store.root), model, tmp_path / "out", meters=meters, threads=1)

    assert [found.what for found in seen][:1] == ["downloading"]
    assert seen[0].amount == "5.0/5.3 MB"
    assert meters.readings() == ()


NAMES = st.lists(st.text("ab.", min_size=1, max_size=3).filter(lambda t: t.strip(".")), min_size=1, max_size=3)


@given(data=st.dictionaries(NAMES.map("/".join), st.binary(max_size=3000), max_size=8), killed=st.integers(0, 3000))
def test_any_model_arrives_whole(tmp_path_factory: pytest.TempPathFactory, data: dict[str, bytes], killed: int) -> None:
    """Whatever its files are, and wherever a first download was cut."""
    folders = {"/".join(p.split("/")[:n]) for p in data for n in range(1, len(p.split("/")))}
    files = {path: content for path, content in data.items() if path not in folders}
    root = tmp_path_factory.mktemp("any")
    model = save(root / "buckets", files)

    class Ending(Cut):
        def read(self, uri: str, sink: Sink, start: int = 0) -> None:
            try:
                super().read(uri, sink, start)
            except VertexUnavailable as error:
                raise VertexError("ended") from error

    with suppress(VertexError):
        download(Ending(root / "buckets", killed, 1), model, root / "out")
    download(FolderStore(root / "buckets"), model, root / "out")

    assert contents(root / "out") == files if files else not (root / "out").exists()
