"""`vertex-training data`: what it prints of a bucket's data sets."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import Any

import pytest
from prefect_vertex_training.cli.commands import data as command
from prefect_vertex_training.core.errors import DataError


@pytest.fixture
def stored(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """The ID of a data set in the bucket that the commands see."""

    @contextmanager
    def open_bucket(vertex: object) -> Any:
        yield bucket.objects

    monkeypatch.setattr(command, "_bucket", open_bucket)
    return bucket.upload().dataset


def test_list_and_show(stored: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A table for people, JSON for programs."""
    command.list_()
    assert stored[:12] in capsys.readouterr().out
    command.list_(as_json=True)
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["id"], listed["mode"], listed["files"], listed["bytes"]) == (stored, "copy", 4, 1_200_006)
    command.show(stored[:8])
    assert "4 files, 1.2 MB, copy" in capsys.readouterr().out
    command.show(stored[:8], as_json=True)
    assert [file["path"] for file in json.loads(capsys.readouterr().out)["contents"]][:2] == ["a.txt", "b.txt"]


def test_download_and_prune(stored: str, bucket: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """What may be deleted is listed, and deleted only when it is said."""
    command.download(stored[:8], to=bucket.work / "here")
    assert (bucket.work / "here" / "sub" / "c.txt").read_text() == "CCC"
    capsys.readouterr()
    command.prune(keep_days=0, as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "data": [stored],
        "objects": 3,
        "bytes": 1_200_006 + _manifest(bucket),
        "deleted": False,
    }
    assert len(bucket.stored()) == 3
    command.prune(keep_days=0, delete=True)
    assert "1 data sets, 3 objects" in capsys.readouterr().out
    assert bucket.stored() == {}
    with pytest.raises(DataError, match="the number of days is below 0"):
        command.prune(keep_days=-1)


def _manifest(bucket: Any) -> int:
    return next(size for name, size in bucket.stored().items() if name.startswith("manifests/"))
