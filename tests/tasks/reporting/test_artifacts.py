"""Pages of a run as artifacts, read back from a real Prefect server."""

from __future__ import annotations

from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.runtime import flow_run
from prefect_vertex_training.tasks.reporting.artifacts import artifacts_of, one_page, write_page

pytestmark = pytest.mark.prefect


def test_several_pages_become_one_artifact(prefect_server: str) -> None:
    """In their order, also where an error ends the block; nothing is written for no page, and others stay alone."""

    def of_a_trial() -> None:
        with one_page("trial", "All of a trial"):
            write_page("first text", "job", "The job")
            write_page("second text", "model", "The model")
            raise ValueError("broken")

    @flow
    def pages() -> UUID:
        with artifacts_of("Digits"):
            write_page("alone", "job", "The job")
            with one_page("nothing", "Nothing"):
                pass
            with pytest.raises(ValueError, match="broken"):
                of_a_trial()
        return UUID(str(flow_run.id))

    run = pages()
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run])))
    texts = {str(each.key): str(each.data) for each in found}

    assert texts == {
        "digits-job": "alone",
        "digits-trial": "## The job\n\nfirst text\n\n## The model\n\nsecond text",
    }
