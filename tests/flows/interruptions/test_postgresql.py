"""A team's Prefect server: ten runs at once, on PostgreSQL. SQLite locks its only file for every write."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from prefect import context, settings
from prefect.client.orchestration import get_client
from prefect.events.worker import EventsWorker
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.flows.train import train

RUNS = 10


@contextmanager
def own_events() -> Iterator[None]:
    """Lets this process send its events to the server of the block: it goes on with the first one that it has used.

    From events a server learns of task runs.
    """
    EventsWorker.drain_all()
    try:
        yield
    finally:
        EventsWorker.drain_all()


@pytest.mark.timeout(400)
def test_ten_runs_at_once_end_with_a_model_each(home: Home, project: Path, prefect_on_postgresql: str) -> None:
    """Each has its own job and model, and the server has them all as Completed, with their logs."""
    with (
        own_events(),
        settings.temporary_settings({settings.PREFECT_API_URL: prefect_on_postgresql}),
        context._temporary_global_settings_context(context.get_settings_context()),
        ThreadPoolExecutor(RUNS) as pool,
    ):
        train(project, verify="off")  # builds the image
        runs = pool.map(lambda number: train(project, args=["--epochs", str(number)], verify="off"), range(RUNS))
        results = list(runs)
        with get_client(sync_client=True) as client:
            states = [run.state_name for run in client.read_flow_runs()]

    assert states == ["Completed"] * (RUNS + 1)
    assert len({result.job for result in results}) == len({result.model for result in results}) == RUNS
    assert all(result.files for result in results)
