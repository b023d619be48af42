"""The runtime brings a data set to where the script opens it, checked, whole or not at all."""

from __future__ import annotations

from typing import Any

import pytest

READ = (
    "import pathlib; print(sorted((str(p), p.stat().st_size) for p in pathlib.Path('data').rglob('*') if p.is_file()))"
)
EXPECTED = "[('data/a.txt', 1), ('data/b.txt', 2), ('data/large.bin', 1200000), ('data/sub/c.txt', 3)]\n"


def test_a_copy_is_where_the_script_opens_it(bucket: Any) -> None:
    """The variables name it; a second start in the same container copies nothing."""
    done = bucket.upload()
    found = bucket.job(done, READ + "; import os; print(os.environ['VERTEX_TRAINING_DATA_TRAIN'])")
    again = bucket.job(done, READ)

    assert found.stdout == f"{EXPECTED}{bucket.work / 'data'}\n"
    assert "data: train: 4 files, 1.2 MB copied" in found.stderr
    assert (bucket.work / "data" / "large.bin").read_bytes() == (bucket.source / "large.bin").read_bytes()
    assert again.stdout == EXPECTED
    assert "train is there already" in again.stderr


def test_another_version_replaces_it(bucket: Any) -> None:
    """What an image has at that place does not stay beside it."""
    (bucket.work / "data").mkdir()
    (bucket.work / "data" / "old").touch()
    first = bucket.upload()
    bucket.job(first, READ)
    (bucket.source / "a.txt").write_text("changed")

    assert "('data/a.txt', 7)" in bucket.job(bucket.upload(), READ).stdout
    assert not (bucket.work / "data" / "old").exists()


@pytest.mark.parametrize("kind", ["packs", "objects", "manifests"])
def test_damaged_or_missing_data_stops_the_job(bucket: Any, kind: str) -> None:
    """One line names it, the script is not started, and nothing is where the script opens it."""
    done = bucket.upload()
    (path,) = (bucket.folder / "vertex-training-data" / kind).iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    damaged = bucket.job(done, "print('started')")
    path.unlink()
    missing = bucket.job(done, "print('started')")

    for end, said in ((damaged, "damaged"), (missing, "is gone")):
        assert (end.returncode, end.stdout) == (1, "")
        assert said in end.stderr
        assert end.stderr.count("\n") == 1
    assert not (bucket.work / "data").exists()


def test_a_mounted_data_set_is_a_link(bucket: Any) -> None:
    """It leads to where the bucket is mounted."""
    done = bucket.upload("mount")
    mounted = bucket.folder / "vertex-training-data" / "trees" / done.dataset
    found = bucket.job(done, "print(open('data/sub/c.txt').read())", "mount", mounted=str(mounted))
    gone = bucket.job(done, "print('started')", "mount", mounted=str(mounted) + "-gone")

    assert found.stdout == "CCC\n"
    assert gone.returncode == 1
    assert "the bucket is not mounted, or the data is gone" in gone.stderr


@pytest.mark.parametrize("mode", ["copy", "mount"])
def test_data_at_an_absolute_path_of_this_machine_is_left_alone(bucket: Any, mode: str) -> None:
    """A job that runs as a process finds the person's own folder there, and must not replace it."""
    done = bucket.upload(mode)
    outside = bucket.work.parent / "own"
    outside.mkdir()
    (outside / "precious").write_text("mine")
    bucket.path = str(outside)
    end = bucket.job(done, f"print(open('{outside}/precious').read())", mode, mounted=str(bucket.folder))

    assert end.stdout == "mine\n"
    assert "left as it is" in end.stderr
    assert [path.name for path in outside.iterdir()] == ["precious"]


def test_data_outside_of_the_working_directory_is_copied_there(bucket: Any) -> None:
    """Where nothing is, as in a container; a second start finds it."""
    done = bucket.upload()
    bucket.path = str(bucket.work.parent / "elsewhere" / "data")
    script = f"print(open('{bucket.path}/b.txt').read())"

    assert bucket.job(done, script).stdout == "BB\n"
    assert "is there already" in bucket.job(done, script).stderr


def test_one_file_is_a_data_set(bucket: Any) -> None:
    """The script opens it by its own name."""
    bucket.source /= "large.bin"
    done = bucket.upload()
    found = bucket.job(done, "import os; print(os.path.getsize('data'))")

    assert (done.files, found.stdout) == (1, "1200000\n")


def test_a_manifest_can_not_lead_out_of_the_folder(bucket: Any) -> None:
    """It comes from a bucket, to which others may have access."""
    from prefect_vertex_training.datasets.manifest import Manifest, StoredFile

    done = bucket.upload()
    (path,) = (bucket.folder / "vertex-training-data" / "manifests").iterdir()
    manifest = Manifest.decode(path.read_bytes(), "")
    manifest.files = [StoredFile("../escaped", *manifest.files[0][1:])]
    path.write_bytes(manifest.encode())
    end = bucket.job(done, "print('started')")

    assert end.returncode == 1
    assert not (bucket.work / "escaped").exists()
