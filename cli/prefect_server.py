"""Whether Prefect can be reached, asked before anything is begun."""

from __future__ import annotations

from ..core.errors import ProjectError


def require_prefect() -> None:
    """Does nothing where no server is set: Prefect then starts one for the run.

    Raises:
        ProjectError: A server is set and doesn't answer.
    """
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value()
    if not url:
        return
    try:
        with get_client(sync_client=True) as client:
            trouble = client.api_healthcheck()
    except RuntimeError as error:
        trouble = error
    if trouble is not None:
        raise ProjectError(
            "no Prefect server answers",
            where=f"PREFECT_API_URL {url}",
            next_step="Start it with `prefect server start`, or unset PREFECT_API_URL",
        ) from trouble
