"""The settings `launcher` and `processes` of a job, as the runtime in its image gets them."""

from __future__ import annotations

from collections.abc import Mapping

from ...core.errors import ProjectError
from ...project.settings.job_settings import JobSettings
from ...runtime.launcher.launcher_variable import Launch, encode

REHEARSED = 2
"""Processes on each machine where this one stands for machines with GPUs."""


def launcher_variables(job: JobSettings, *, local: bool) -> Mapping[str, str]:
    """The variable that tells the runtime how to start the script; nothing without a launcher.

    Args:
        job: The job's settings.
        local: Whether the job runs on this machine, which may have no GPU.

    Raises:
        ProjectError: A single replica would be started again, for which the others don't wait.
    """
    if job.launcher == "none":
        return {}
    several = job.replicas > 1 or "worker" in job.pools
    if job.restarts == "replica" and several:
        raise ProjectError(
            f'restarts = "replica" starts one machine again, and the others of {job.launcher} don\'t wait for it',
            where="[tool.vertex-training]",
            next_step='Set restarts = "job", or "none"',
        )
    processes = 0 if job.processes == "gpu" else int(job.processes)
    return encode(Launch(job.launcher, processes, REHEARSED if local else 1))
