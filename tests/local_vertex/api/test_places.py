"""Several projects and regions in one service, each with jobs, faults and quotas of its own."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from prefect_vertex_training.core.errors import LocalServiceError
from prefect_vertex_training.local_vertex.store.records import LogEntry


@pytest.fixture
def places(start_local: Any) -> Any:
    """A service of two projects and two regions."""
    return start_local(project="one", projects=("two",), regions=("europe-west4",))


def parent(project: str, region: str) -> str:
    """A location's name."""
    return f"projects/{project}/locations/{region}"


PLACES = [parent(project, region) for project in ("one", "two") for region in ("us-central1", "europe-west4")]


def test_each_place_has_its_own_jobs(places: Any, job: dict[str, Any]) -> None:
    """A job is listed and found only where it was created."""
    jobs = places.jobs()
    made = {place: jobs.create_custom_job(parent=place, custom_job=job).name for place in PLACES}

    for place, name in made.items():
        assert [one.name for one in jobs.list_custom_jobs(parent=place)] == [name]
        assert jobs.get_custom_job(name=name).name == name
        elsewhere = next(other for other in PLACES if other != place)
        with pytest.raises(exceptions.NotFound):
            jobs.get_custom_job(name=f"{elsewhere}/customJobs/{name.rpartition('/')[2]}")
    with pytest.raises(exceptions.InvalidArgument, match="`us-central1`, `europe-west4`"):
        jobs.list_custom_jobs(parent=parent("one", "asia-east1"))


def test_each_project_has_its_own_lines(places: Any, job: dict[str, Any]) -> None:
    """Entries are those of the project's jobs, and name it."""
    for project in ("one", "two"):
        name = places.jobs().create_custom_job(parent=parent(project, "us-central1"), custom_job=job).name
        places.store.append_logs(name.rpartition("/")[2], [LogEntry(1.0, "INFO", "workerpool0-0", project)])
    found = list(places.logs().list_log_entries({"resource_names": ["projects/two"]}))

    assert [(entry.text_payload, entry.log_name) for entry in found] == [("two", "projects/two/logs/workerpool0-0")]


def test_faults_and_quotas_of_one_region(places: Any, job: dict[str, Any]) -> None:
    """A region's own switch leaves the others alone; quotas are counted for each project and region."""
    jobs, faults = places.jobs(), places.runner.faults
    faults.update({"resource_exhausted@europe-west4": 1})
    jobs.create_custom_job(parent=PLACES[0], custom_job=job)
    with pytest.raises(exceptions.ResourceExhausted):
        jobs.create_custom_job(parent=PLACES[1], custom_job=job)
    jobs.create_custom_job(parent=PLACES[1], custom_job=job)
    faults.update({"quotas": True, "submissions_per_minute": 1.0})
    for place in PLACES:
        jobs.create_custom_job(parent=place, custom_job=job)
        with pytest.raises(exceptions.ResourceExhausted, match="Quota exceeded"):
            jobs.create_custom_job(parent=place, custom_job=job)

    assert faults.values()["resource_exhausted@europe-west4"] == 0
    for bad in ({"nothing@europe-west4": 1}, {"stock_out@": 1}, {"plain_lines": "xml"}):
        with pytest.raises(LocalServiceError):
            faults.update(bad)
