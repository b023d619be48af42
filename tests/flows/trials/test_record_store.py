"""The records of a sweep in Prefect's result storage."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect.filesystems import LocalFileSystem
from prefect_vertex_training.core.job_options import Machine, Pool
from prefect_vertex_training.core.security.secret_sources import SecretSource
from prefect_vertex_training.flows.trials.record_store import SweepRecords
from prefect_vertex_training.sweeps.trial_records import SweepPlan, TrialEnd, TrialPlan
from prefect_vertex_training.vertex.job_types import JobRequest, Origin

REQUEST = JobRequest(
    display_name="t",
    output="gs://bucket/o",
    image="host/i@sha256:1",
    args=["--lr=0.1"],
    env={"A": "b"},
    secret_env={"TOKEN": SecretSource.parse("secret-manager:projects/p/secrets/s")},
    pools={"worker": Pool(machine=Machine("n1-standard-4"), replicas=2)},
)


@pytest.fixture
def records(tmp_path: Path) -> SweepRecords:
    """Records in a folder."""
    return SweepRecords("s1", LocalFileSystem(basepath=str(tmp_path)))


def plan(number: int, key: str = "k") -> TrialPlan:
    """A trial that is recorded before its job."""
    return TrialPlan(number, {"lr": 0.1, "batch": 16, "kind": "a", "flag": True}, ["--lr=0.1"], key, REQUEST)


def test_another_worker_reads_what_was_written(records: SweepRecords, tmp_path: Path) -> None:
    """The sweep, its trials in order, and their ends, with all values in their own types."""
    whole = SweepPlan("s1", "p", "{}", "acc", "max", "last", "i", ["a"], Origin("f", data=[{"name": "x"}]), 3, [])
    records.write_plan(whole)
    for number in range(40):
        records.write_trial(plan(number))
    records.write_end(TrialEnd(1, "completed", value=0.5, points=[(1.0, 0.5)], key="k"))

    other = SweepRecords("s1", LocalFileSystem(basepath=str(tmp_path)))
    found = other.trials()

    assert other.plan() == whole
    assert [each.number for each in found] == list(range(40))
    assert [type(value) for value in found[0].plan.values.values()] == [float, int, str, bool]
    assert found[0].plan.request.pools == REQUEST.pools
    assert found[0].plan.request.secret_env == REQUEST.secret_env
    assert [each.end.value for each in found if each.end] == [0.5]
    assert SweepRecords("other", LocalFileSystem(basepath=str(tmp_path))).trials() == []


def test_a_document_that_was_cut_counts_as_missing(records: SweepRecords, tmp_path: Path) -> None:
    """A cut end is read again from the job; behind a cut plan no job can exist, so that trial is made anew."""
    for number in range(3):
        records.write_trial(plan(number))
        records.write_end(TrialEnd(number, "completed", value=0.5, key="k"))
    folder = tmp_path / "sweeps" / "s1"
    for name in ("trial-0001-end.json", "trial-0002-plan.json"):
        path = folder / name
        path.write_bytes(path.read_bytes()[:40])

    found = records.trials()

    assert [(each.number, each.end is not None) for each in found] == [(0, True), (1, False)]


def test_an_end_of_other_code_is_not_that_of_the_trial(records: SweepRecords) -> None:
    """A trial that was planned again, with another image, has not ended yet."""
    records.write_trial(plan(0, "old"))
    records.write_end(TrialEnd(0, "failed", key="old"))
    records.write_trial(plan(0, "new"))

    found = records.trial(0)

    assert found is not None
    assert found.end is None
