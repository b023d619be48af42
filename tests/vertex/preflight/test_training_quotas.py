"""The quota of the trials of a sweep that run at the same time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.core.job_options import Machine, Pool
from prefect_vertex_training.vertex.job_types import JobDescription
from prefect_vertex_training.vertex.preflight.training_quotas import jobs_at_once, needed

MACHINES = st.sampled_from(
    [Machine("n1-standard-4", "NVIDIA_TESLA_T4", 2), Machine("n2-standard-8"), Machine("g2-standard-4", "NVIDIA_L4", 1)]
)


JOBS = st.builds(
    JobDescription,
    display_name=st.just("sweep"),
    output=st.just("gs://models/sweep"),
    machine=MACHINES,
    replicas=st.integers(1, 9),
    strategy=st.sampled_from(["STANDARD", "SPOT", "FLEX_START"]),
    pools=st.dictionaries(
        st.sampled_from(["server", "evaluator"]), st.builds(Pool, machine=MACHINES, replicas=st.integers(1, 5))
    ),
)


@given(job=JOBS, count=st.integers(1, 50))
def test_trials_at_once_need_as_many_times_the_quota(job: JobDescription, count: int) -> None:
    """Of accelerators, CPUs and disks, in all pools."""
    assert needed(jobs_at_once(job, count)) == {metric: count * amount for metric, amount in needed(job).items()}
