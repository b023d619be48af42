"""The labels of jobs' log entries: those of the service's lines and those of replicas' lines."""

from __future__ import annotations

JOB_STATES = {
    "Job completed successfully.": "SUCCEEDED",
    "Job failed.": "FAILED",
    "Job cancelled.": "CANCELLED",
}
"""The last line of a job, and the value of its label `ml.googleapis.com/job_state`."""

ENDPOINT, JOB_STATE, JOB_ID = (f"ml.googleapis.com/{name}" for name in ("endpoint", "job_state", "job_id"))
"""Labels of entries: the first two of those of the service, the last of those of replicas."""


def shown_labels(job_id: str, task: str, payload: object) -> dict[str, str]:
    """The labels of an entry of a job."""
    if task != "service":
        return {JOB_ID: job_id}
    state = JOB_STATES.get(payload) if isinstance(payload, str) else None
    return {ENDPOINT: ""} | ({JOB_STATE: state} if state else {})
