"""A bucket in another region is noticed before the build."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from fixtures.google.object_store import object_store  # noqa: F401 - a fixture
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from prefect_vertex_training.core.errors import VertexError
from prefect_vertex_training.vertex.client.connection import Connection
from prefect_vertex_training.vertex.client.storage import CloudStore
from prefect_vertex_training.vertex.submit.region_check import check_bucket, far_registry


@pytest.fixture
def name(
    connection: Connection,
    object_store: str,  # noqa: F811 - the fixture
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> str:
    """What the connection's bucket is called in the object store, which has none of that name yet."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", object_store)
    name = f"r{hashlib.md5(str(tmp_path).encode()).hexdigest()[:20]}"
    monkeypatch.setattr(connection.endpoint, "bucket", name)
    connection._cached["models"] = CloudStore("p", AnonymousCredentials(), connection.context)
    return name


class Placed(CloudStore):
    """Cloud Storage whose buckets have the region that the test sets: fake-gcs-server has only one."""

    where = ""

    def region(self, bucket: str) -> str:
        """Asks for the real one first."""
        super().region(bucket)
        return self.where


@pytest.mark.parametrize(("where", "fits"), [("EUROPE-WEST4", True), ("EU", False), ("US-CENTRAL1", False)])
def test_the_bucket_must_be_in_the_jobs_region(connection: Connection, name: str, where: str, fits: bool) -> None:
    """The error names the bucket, both places and the command; the job's own region passes."""
    storage.Client(project="p", credentials=AnonymousCredentials()).create_bucket(name)
    store = Placed("p", AnonymousCredentials(), connection.context)
    store.where = where
    connection._cached["models"] = store

    if fits:
        check_bucket(connection)
        return
    with pytest.raises(VertexError, match=f"is in {where.lower()}.*europe-west4.*{name}.*--location=europe-west4"):
        check_bucket(connection)


def test_a_bucket_that_is_not_there_is_named(connection: Connection, name: str) -> None:
    """Before anything is built for it."""
    with pytest.raises(VertexError, match=name):
        check_bucket(connection)


def test_the_location_comes_from_the_store(connection: Connection, name: str) -> None:
    """As Cloud Storage itself writes it."""
    bucket = storage.Client(project="p", credentials=AnonymousCredentials()).create_bucket(name)

    assert connection.models.region(name) == bucket.location != ""


@pytest.mark.parametrize(
    ("host", "region", "far"),
    [
        ("europe-west4-docker.pkg.dev", "europe-west4", False),
        ("europe-docker.pkg.dev", "europe-west4", False),
        ("us-docker.pkg.dev", "europe-west4", True),
        ("us-central1-docker.pkg.dev", "us-east1", True),
        ("gcr.io", "us-central1", False),
        ("127.0.0.1:5000", "us-central1", False),
    ],
)
def test_a_registry_in_another_region_is_a_warning(host: str, region: str, far: bool) -> None:
    """Only hosts that name a region can be far."""
    assert bool(far_registry(host, region)) == far
