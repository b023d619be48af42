"""Whether regions have quota for a job, for `fallback = "auto"`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ...vertex.job_types import JobDescription
from ...vertex.preflight.google_api import GoogleApi, Missing, NotMade
from ...vertex.preflight.subject import Subject
from ...vertex.preflight.training_quotas import check_quotas

if TYPE_CHECKING:
    from ...blocks.vertex_ai import VertexAI

_AT_ONCE = 8


def regions_with_quota(block: VertexAI, job: JobDescription, regions: Sequence[str]) -> Mapping[str, bool | None]:
    """For each region whether the project's quota holds the job; None where that can't be asked.

    Args:
        block: The project, with its account.
        job: The job.
        regions: The regions, which are asked at the same time.
    """
    try:
        credentials = block.credentials.get_credentials_from_service_account() if block.credentials else None
        api = GoogleApi.of(credentials)
    except NotMade:
        return dict.fromkeys(regions)
    return quotas_by_region(api, lambda region: Subject(block.project, region, block.bucket, job=job), regions)


def quotas_by_region(
    api: GoogleApi, subject: Callable[[str], Subject], regions: Sequence[str]
) -> Mapping[str, bool | None]:
    """As `regions_with_quota`, with an API and what is checked.

    Args:
        api: Google's APIs.
        subject: The job in a region.
        regions: The regions.
    """

    def has_quota(region: str) -> bool | None:
        try:
            found = [finding.status for finding in check_quotas(subject(region), api)]
        except (NotMade, Missing):
            return None
        if "FAIL" in found:
            return False
        return True if found and set(found) == {"PASS"} else None

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="quotas") as pool:
        return dict(zip(regions, pool.map(has_quota, regions), strict=True))
