"""Data that lay in a bucket already is copied to the job's disk: the objects that the run has found, or nothing."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from typing import Any

import pytest
from fixtures.suite.module_graph import ROOT
from prefect_vertex_training.core.errors import DataError
from prefect_vertex_training.datasets.bucket_source import describe_source
from prefect_vertex_training.datasets.data_plan import check_disk
from prefect_vertex_training.runtime import data_variable

PLACE = "vertex-training-data/net/set"
LIST = (
    "import os, pathlib; root = pathlib.Path(os.environ['VERTEX_TRAINING_DATA_NET']);"
    "print(sorted((p.relative_to(root).as_posix(), p.stat().st_size) for p in root.rglob('*') if p.is_file()))"
)


@pytest.fixture
def source(bucket: Any) -> Any:
    """A bucket with objects below `set/`, and others whose names begin likewise."""
    (bucket.folder / "set" / "deep").mkdir(parents=True)
    (bucket.folder / "set" / "a.bin").write_bytes(os.urandom(1_300_000))
    (bucket.folder / "set" / "deep" / "b ü.txt").write_text("bb")
    (bucket.folder / "set" / "empty").touch()
    (bucket.folder / "set-2").write_text("not this")
    return bucket


def job(bucket: Any, script: str, uri: str = "gs://b/set", place: str = PLACE) -> Any:
    """Describes the data as the step does; returns what runs a script with that description."""
    found = describe_source("net", uri, bucket.objects, "us-central1", mode="copy", place=place)
    data = data_variable.DataSet("net", found.path, "copy", "b", "", found.mounted, found.uri, found.id)
    env = {"PATH": os.defpath, "STORAGE_EMULATOR_HOST": bucket.url, **data_variable.encode([data])}
    command = [sys.executable, "-IB", str(ROOT / "runtime"), "--", sys.executable, "-c", script]

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=bucket.work, env=env, capture_output=True, text=True, timeout=60, check=False
        )

    return run


def test_the_objects_are_files_when_the_script_starts(source: Any) -> None:
    """The variable leads to them; a second start in the same container copies nothing."""
    run = job(source, LIST)
    first, second = run(), run()

    assert first.stdout == "[('a.bin', 1300000), ('deep/b ü.txt', 2), ('empty', 0)]\n"
    assert "data: net: 3 files, 1.3 MB copied" in first.stderr
    assert (source.work / PLACE / "a.bin").read_bytes() == (source.folder / "set" / "a.bin").read_bytes()
    assert "net is there already" in second.stderr


def test_one_object_keeps_its_name(source: Any) -> None:
    """Programs choose a reader by the ending of a file's name."""
    place = "vertex-training-data/net/b ü.txt"
    end = job(source, f"print(open({place!r}).read())", "gs://b/set/deep/b ü.txt", place)()

    assert end.stdout == "bb\n"


def test_a_compressed_object_comes_as_it_is_stored(source: Any) -> None:
    """As /gcs shows it; the service would decompress it for most clients."""
    data = gzip.compress(b"rows" * 1000)
    path = f"{source.url}/upload/storage/v1/b/b/o?uploadType=media&name=set/c.csv.gz&contentEncoding=gzip"
    import urllib3

    assert urllib3.request("POST", path, body=data).status == 200
    job(source, LIST)()

    assert (source.work / PLACE / "c.csv.gz").read_bytes() == data


@pytest.mark.parametrize("change", ["new", "replaced", "gone"])
def test_objects_that_changed_since_the_run_began_stop_the_job(source: Any, change: str) -> None:
    """The receipt names what the run found: nothing else may be what the script reads."""
    run = job(source, "print('started')")
    if change == "new":
        (source.folder / "set" / "new").touch()
    elif change == "replaced":
        (source.folder / "set" / "deep" / "b ü.txt").write_text("cc")
    else:
        (source.folder / "set" / "empty").unlink()
    end = run()

    assert (end.returncode, end.stdout) == (1, "")
    assert "data: net: the objects at gs://b/set have changed since the run began" in end.stderr
    assert end.stderr.count("\n") == 1
    assert not (source.work / PLACE).exists()


@pytest.mark.parametrize("name", ["set//x", "set/../x", "set/deep", "set"])
def test_an_object_that_can_not_be_a_file_is_said_before_the_job(source: Any, name: str) -> None:
    """With its name, and what to do instead."""
    assert source.objects.put_new(name, b"x", 1)
    with pytest.raises(DataError, match=r"can't be a file there .*mode = \"mount\""):
        job(source, LIST)


def test_a_disk_that_is_too_small_for_it_is_said_before_the_job() -> None:
    """As for data of this machine."""
    from prefect_vertex_training.datasets.data_record import DataRecord

    record = DataRecord("net", "1" * 64, "copy", 3, 95_000_000_000, path=PLACE, bucket="b", uri="gs://b/set")
    with pytest.raises(DataError, match=r"too small \(gs://b/set\).*boot-disk-gb = 116"):
        check_disk([], 100, [record])
