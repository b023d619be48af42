"""Addresses of pages in Prefect's UI."""

from __future__ import annotations

from uuid import UUID

from prefect.settings import get_current_settings


def run_page(run: UUID | str) -> str:
    """The page of a flow run; empty without a server that has a UI."""
    return _page(f"runs/flow-run/{run}")


def artifact_page(artifact: UUID | str) -> str:
    """The page of an artifact; empty without a server that has a UI."""
    return _page(f"artifacts/artifact/{artifact}")


def _page(path: str) -> str:
    settings = get_current_settings()
    if not settings.ui_url:
        return ""
    # A server of one's own has two UIs, of which the older one shows "not found" to those who have not logged in.
    version = "" if settings.connected_to_cloud else "v2/"
    return f"{settings.ui_url.rstrip('/')}/{version}{path}"
