"""Data of a bucket is copied to another region's bucket by the service; bytes and price are said before."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
from prefect_vertex_training.core.errors import DataError
from prefect_vertex_training.datasets.bucket_copy import copy_data, needs_copy, plan_copy, price_of_a_gb
from prefect_vertex_training.datasets.bucket_objects import BucketAccess, BucketObjects
from prefect_vertex_training.local_vertex.storage.storage_server import StorageServer


@pytest.fixture
def buckets(tmp_path: Path) -> Iterator[tuple[BucketObjects, BucketObjects]]:
    """A bucket in us-central1 with data, and an empty one in europe-west4."""
    server, listener = StorageServer(tmp_path, "k"), socket.create_server(("127.0.0.1", 0))
    server.serve(listener)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/k"
    for name, place in (("american", "US-CENTRAL1"), ("european", "EUROPE-WEST4")):
        made = urllib3.request("POST", f"{url}/storage/v1/b?project=p", json={"name": name, "location": place})
        assert made.status == 200, made.data
    source, target = (BucketObjects(BucketAccess(name, url)) for name in ("american", "european"))
    for name, data in (("train/a.txt", b"first"), ("train/deep/b.txt", b"second"), ("train-2/c.txt", b"not this")):
        source.put_new(name, data, len(data))
    yield source, target
    server.close()


def test_a_far_data_set_is_copied_once(buckets: tuple[BucketObjects, BucketObjects]) -> None:
    """What the plan says is what arrives; a repetition changes nothing; a changed source gets a folder of its own."""
    source, target = buckets
    assert needs_copy(source, "europe-west4")
    assert not needs_copy(source, "us-central1")
    planned = plan_copy("d", "gs://american/train", source, "european", "europe-west4")
    for _ in range(2):
        copy_data("gs://american/train", source, target, planned)

    folder = planned.uri.removeprefix("gs://european/")
    assert (planned.files, planned.size) == (2, 11)
    assert {each.name: each.size for each in target.list("")} == {f"{folder}/a.txt": 5, f"{folder}/deep/b.txt": 6}
    source.put_new("train/new.txt", b"x", 1)
    assert plan_copy("d", "gs://american/train", source, "european", "europe-west4").uri != planned.uri
    with pytest.raises(DataError, match="has no object"):
        plan_copy("d", "gs://american/nothing", source, "european", "europe-west4")


def test_the_price_grows_with_the_distance() -> None:
    """Nothing within a region; less within a continent than between two."""
    prices = [
        price_of_a_gb("us-central1", region) for region in ("us-central1", "us-east1", "europe-west4", "asia-east1")
    ]

    assert prices == sorted(set(prices))
    assert prices[0] == 0
