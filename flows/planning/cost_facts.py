"""What a run's cost is estimated from: prices, and how long the last such job took; read beside other work."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from ...core.home import Home
from ...project.settings.settings import Settings
from ...vertex.pricing.google_catalog import current_prices
from ...vertex.pricing.price_list import PriceList, read_prices
from ...vertex.receipt.last_duration import last_duration

if TYPE_CHECKING:
    from ...blocks.vertex_ai import VertexAI
    from ...vertex.client.connection import Connection

T = TypeVar("T")

SOON = 1.0
"""Seconds for prices that are on the disk already."""

PATIENCE = 60.0
"""Seconds for the billing catalog, where nothing goes on without it."""

LAST = 5.0
"""Seconds for the search for the last such job."""


class CostFacts:
    """Begins to read the facts of a run in the cloud.

    Args:
        settings: The project's settings, with the run's own choices.
        vertex: Where the job will run.
        connection: Connection to it.
        home: Keeps the billing catalog for a day.

    Raises:
        ProjectError: The project's own price file can't be read.
    """

    def __init__(self, settings: Settings, vertex: VertexAI, connection: Connection, home: Home) -> None:
        self._own = [read_prices(settings.root / settings.prices)] if settings.prices else []
        self._last = _begin(lambda: last_duration(connection, settings.name, settings.job))
        self._catalog: Future[tuple[list[PriceList], str]] | None = None
        if not connection.endpoint.local:  # the services of this machine have no bill
            block = vertex.credentials
            credentials = block.get_credentials_from_service_account() if block else None
            self._catalog = _begin(lambda: current_prices(home.cache, credentials))

    def prices(self, wait: float = SOON) -> list[PriceList]:
        """Price lists, the one that counts most first; all but the built-in one.

        Args:
            wait: Seconds to wait for the billing catalog; without it the others are used.
        """
        catalog = self._catalog and _result(self._catalog, wait)
        return [*self._own, *(catalog[0] if catalog else [])]

    def trouble(self) -> str:
        """Why the billing catalog can't be read; empty if it can, or if nobody knows yet."""
        catalog = self._catalog and _result(self._catalog, 0.0)
        return catalog[1] if catalog else ""

    def last_seconds(self, wait: float = LAST) -> float | None:
        """How long the last succeeded job of the project on the same machines took; None for none known."""
        return _result(self._last, wait)


def _begin(work: Callable[[], T]) -> Future[T]:
    """Does it in a thread that keeps no process from ending."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as error:  # noqa: BLE001 - passed on to whoever asks
            future.set_exception(error)

    threading.Thread(target=run, name="cost", daemon=True).start()
    return future


def _result(future: Future[T], wait: float) -> T | None:
    """The result; None if it isn't there yet, or if there is none: an estimate never stops a run."""
    try:
        return future.result(wait)
    except Exception:  # noqa: BLE001 - whatever kept it away
        return None
