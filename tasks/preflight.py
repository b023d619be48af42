"""The step before all others of a run in the cloud: is the project ready for this job?"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from ..core.job_options import Pool
from ..vertex.job_types import JobDescription
from ..vertex.preflight import readiness
from ..vertex.preflight.google_api import GoogleApi, NotMade
from ..vertex.preflight.preflight import preflight
from ..vertex.preflight.subject import Repository, Subject
from .reporting.artifacts import artifact_key, optional_display
from .reporting.step_log import step_log

if TYPE_CHECKING:
    from ..blocks.registry import ContainerRegistry
    from ..blocks.vertex_ai import VertexAI


_RESTRICTED = "-docker.pkg.dev/vertex-ai-restricted/"
"""In the names of images that Google restricts, whose accelerators have quotas of their own."""


class ProjectAccess:
    """The blocks of a run, and the job that it will send; a plain class, because Prefect looks into dataclasses.

    Args:
        vertex: Where the job will run.
        registry: Where the image will be; None for a check without one.
        job: The job; None for a check of the blocks alone.
        name: What the image is called.
        base: Its base image; None where that isn't chosen.
    """

    def __init__(
        self,
        vertex: VertexAI,
        registry: ContainerRegistry | None,
        job: JobDescription | None,
        name: str = "image",
        *,
        base: str | None = None,
    ) -> None:
        self._vertex = vertex
        base = base or ""
        image = registry.image(name) if registry else None
        self.subject = Subject(
            vertex.project,
            vertex.region,
            vertex.bucket,
            Repository.of(image.host, image.repository) if image else None,
            service_account=job.service_account if job else vertex.service_account,
            tensorboard=job.tensorboard if job else vertex.tensorboard,
            network=job.network if job else vertex.network,
            persistent_resource=job.persistent_resource if job else vertex.persistent_resource,
            encryption_key=job.encryption_key if job else vertex.encryption_key,
            restricted_image=_RESTRICTED in base or any(_RESTRICTED in (pool.image or "") for pool in _pools(job)),
            job=job,
        )

    def api(self) -> GoogleApi:
        """Google's APIs with the block's account.

        Raises:
            NotMade: There are no credentials.
        """
        block = self._vertex.credentials
        return GoogleApi.of(block.get_credentials_from_service_account() if block else None)


def _pools(job: JobDescription | None) -> Iterable[Pool]:
    return job.pools.values() if job else ()


@task(name="preflight", cache_policy=NO_CACHE, persist_result=False)
def check_project(access: ProjectAccess, strict: bool) -> None:
    """Checks services, rights, quotas and places of the project; writes them into a table artifact.

    Args:
        access: The project and the job.
        strict: Whether a failed check fails the step; a check that is unknown never does.

    Raises:
        VertexError: A check failed.
    """
    log, warn = step_log("preflight"), step_log("preflight", level=logging.WARNING)
    try:
        findings = preflight(access.subject, access.api())
    except NotMade as error:
        warn(f"nothing could be checked: {error}")
        return
    with optional_display():
        create_table_artifact(
            readiness.as_table(findings), key=artifact_key("preflight"), description="Whether the project is ready"
        )
    log(readiness.summary(findings))
    for finding in findings:
        if finding.status != "PASS":
            warn(str(finding))
    if strict:
        readiness.require_ready(findings, access.subject.project)
