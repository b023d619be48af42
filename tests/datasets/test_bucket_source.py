"""Data that lies in a bucket already is checked and described before anything is built."""

from __future__ import annotations

from typing import Any

import pytest
import urllib3
from prefect_vertex_training.core.errors import DataError
from prefect_vertex_training.datasets.bucket_objects import BucketAccess, BucketObjects
from prefect_vertex_training.datasets.bucket_source import describe_source


@pytest.fixture
def objects(bucket: Any) -> Any:
    """A function that gives the objects of a new bucket in a location, with one object in it."""

    def make(location: str) -> BucketObjects:
        name = f"in-{location.lower()}"
        url = f"{bucket.url}/storage/v1/b?project=p"
        answer = urllib3.request("POST", url, json={"name": name, "location": location}, retries=False)
        assert answer.status == 200, answer.data
        (bucket.folder.with_name(name) / "set").mkdir()
        (bucket.folder.with_name(name) / "set" / "a").write_text("a")
        return BucketObjects(BucketAccess(name, bucket.url))

    return make


@pytest.mark.parametrize(
    ("location", "region"), [("EUROPE-WEST4", "europe-west4"), ("EU", "europe-west1"), ("US", "us-central1")]
)
def test_a_bucket_near_the_job_is_described(objects: Any, location: str, region: str) -> None:
    """Files, bytes, and an ID that changes with the listing."""
    near = objects(location)
    found = describe_source("net", f"gs://in-{location.lower()}/set", near, region)
    near.put_new("set/b", b"bb", 2)
    then = describe_source("net", f"gs://in-{location.lower()}/set", near, region)

    assert (found.files, found.size, found.mounted) == (1, 1, f"/gcs/in-{location.lower()}/set")
    assert (then.files, then.size) == (2, 3)
    assert then.id != found.id


@pytest.mark.parametrize(
    ("location", "region"), [("EUROPE-WEST4", "us-central1"), ("EU", "us-central1"), ("US", "europe-west4")]
)
def test_a_bucket_far_from_the_job_is_refused(objects: Any, location: str, region: str) -> None:
    """One line names both places, and what to do."""
    with pytest.raises(DataError) as caught:
        describe_source("net", f"gs://in-{location.lower()}/set", objects(location), region)

    said = f"the data is in {location.lower()}, and the job would run in {region} (gs://in-{location.lower()}/set)"
    assert str(caught.value) == f"{said}. Copy it to a bucket in {region}, or run the job in {location.lower()}"


def test_data_that_may_not_be_read_is_refused(bucket: Any) -> None:
    """One line says which role is missing."""
    refused = BucketObjects(BucketAccess("b", f"{bucket.url}-of-somebody-else"))

    with pytest.raises(DataError, match=r"no permission: .* Grant this account roles/storage.objectViewer on gs://b$"):
        describe_source("net", "gs://b/set", refused, "us-central1")


@pytest.mark.parametrize("name", ["set", "set/missing", "se"])
def test_an_address_without_objects_is_refused(bucket: Any, name: str) -> None:
    """Objects whose names only begin likewise don't count."""
    (bucket.folder / "set-2").write_text("x")

    with pytest.raises(DataError, match="the data set net has no object") as caught:
        describe_source("net", f"gs://b/{name}", bucket.objects, "us-central1")
    assert f"gs://b/{name}" in str(caught.value)
