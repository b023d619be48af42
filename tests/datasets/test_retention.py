"""What `prune` deletes: never what a receipt names, and no data set stays half there."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect_vertex_training.core.errors import DataError
from prefect_vertex_training.datasets.data_download import download
from prefect_vertex_training.datasets.retention import find_data, list_data, plan_prune, prune

LATER = datetime.now(UTC) + timedelta(days=40)


def versions(bucket: Any, mode: str) -> list[str]:
    """Uploads two versions of the data; returns their IDs."""
    first = bucket.upload(mode)
    (bucket.source / "a.txt").write_text("changed")
    return [first.dataset, bucket.upload(mode).dataset]


@pytest.mark.parametrize("mode", ["copy", "mount"])
def test_what_a_receipt_names_stays(bucket: Any, mode: str) -> None:
    """The other version goes with what it alone needs; the one that stays is whole."""
    old, new = versions(bucket, mode)
    (bucket.folder / "run" / "1").mkdir(parents=True)
    (bucket.folder / "run" / "1" / "receipt.json").write_text(json.dumps({"data": [{"name": "train", "id": new}]}))
    objects = bucket.objects

    assert plan_prune(objects, 30).objects == []

    plan = plan_prune(objects, 30, LATER)
    prune(objects, plan)
    (stored,) = list_data(objects)
    download(objects, stored, bucket.work / "again", print)

    assert [each.dataset for each in plan.data] == [old]
    assert (stored.dataset, stored.receipts) == (new, ("gs://b/run/1/receipt.json",))
    for path in bucket.source.rglob("*"):
        if path.is_file():
            assert (bucket.work / "again" / path.relative_to(bucket.source)).read_bytes() == path.read_bytes()
    assert plan_prune(objects, 30, LATER).objects == []


def test_without_receipts_everything_goes(bucket: Any) -> None:
    """And what an interrupted upload left, after a day."""
    versions(bucket, "copy")
    bucket.objects.put_new("vertex-training-data/packs/left", b"x", 1)

    assert plan_prune(bucket.objects, 30).objects == []
    prune(bucket.objects, plan_prune(bucket.objects, 30, LATER))
    assert bucket.stored() == {}


def test_an_upload_during_a_prune_is_whole_or_not_there(bucket: Any) -> None:
    """A data set that shares an object with what was deleted loses its manifest; the next upload sends it again."""
    first = bucket.upload()
    plan = plan_prune(bucket.objects, 0, LATER)
    (bucket.source / "a.txt").write_text("changed")
    second = bucket.upload()
    prune(bucket.objects, plan)

    assert list_data(bucket.objects) == []
    again = bucket.upload()
    assert again.dataset == second.dataset != first.dataset
    assert bucket.job(again, "print(open('data/a.txt').read())").stdout == "changed\n"


def test_a_data_set_is_found_by_the_begin_of_its_id(bucket: Any) -> None:
    """None and several are errors."""
    first, _ = versions(bucket, "copy")

    assert find_data(bucket.objects, first[:10]).dataset == first
    with pytest.raises(DataError, match="no data set's ID begins with 'zz'"):
        find_data(bucket.objects, "zz")
    with pytest.raises(DataError, match="there is something already"):
        download(bucket.objects, find_data(bucket.objects, first), bucket.source, print)
