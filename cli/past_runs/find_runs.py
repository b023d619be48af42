"""Where the commands about past runs look for them: on this machine, at a VertexAI block, and at Prefect's server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import TrainingError
from ...core.home import Home
from ..load_blocks import load_vertex
from ..output import print_message
from ..prefect_session import prefect_session

if TYPE_CHECKING:
    from ...flows.history.known_run import KnownRun
    from ...vertex.client.connection import Connection


@contextmanager
def place_of_jobs(vertex: str | None) -> Iterator[Connection | None]:
    """The connection of a VertexAI block; without one to local_vertex, or None if it never had a job.

    Args:
        vertex: Name of the block. It is saved in Prefect, which local_vertex doesn't need.

    Raises:
        ProjectError: No such block is saved.
        LocalServiceError: local_vertex can't be started.
    """
    if vertex is not None:
        with prefect_session():
            block = load_vertex(vertex)
            assert block is not None
            yield block.connection()
        return
    from ...local_vertex.endpoint import store_path

    home = Home.default()
    if not store_path(home).exists():
        yield None
        return
    from ...vertex.client.connection import Connection

    yield Connection.local(home)


def project_name(text: str) -> str:
    """The name of the project that a person means by its name or its folder.

    Raises:
        ProjectError: The folder's settings are not valid.
    """
    if not text or not Path(text).is_dir():
        return text
    from ...project.settings.settings import load

    return load(Path(text)).name


def known_runs(connection: Connection | None, project: str, limit: int) -> list[KnownRun]:
    """The newest runs of a project, newest first; Prefect's own only if its server answers.

    Raises:
        VertexError: The jobs can't be listed.
    """
    recorded = recorded_runs(connection, project, limit)
    if not _prefect_is_set():
        return recorded
    try:
        with prefect_session():
            from ...flows.history.known_run import HERE, place_of
            from ...flows.history.prefect_runs import with_prefect

            place = HERE if connection is None else place_of(connection)
            return with_prefect(recorded, project, limit=limit, region="" if place == HERE else place)
    except TrainingError as error:
        print_message(f"only what jobs and receipts say is listed: {error}")
        return recorded


def recorded_runs(connection: Connection | None, project: str, limit: int) -> list[KnownRun]:
    """The newest runs that jobs and receipts tell of, newest first.

    Raises:
        VertexError: The jobs can't be listed.
    """
    if connection is None:
        return []
    from ...flows.history.known_run import of_recorded
    from ...vertex.receipt import recorded_runs as engine

    return [of_recorded(run, connection) for run in engine.recorded_runs(connection, project, limit=limit)]


def _prefect_is_set() -> bool:
    """Whether there is a server to ask: one in Prefect's settings, or the kept one if it ever had a run."""
    from prefect.settings import PREFECT_API_URL

    from ..prefect_server.kept_server import DATABASE

    return bool(PREFECT_API_URL.value()) or (Home.default().root / "prefect" / DATABASE).exists()
