"""The billing catalog over the network, with the Google credentials of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...core.background.imports import one_importer
from ...core.network.google_login import machine_login
from .billing_catalog import Get, catalog_prices
from .price_list import PriceList

ADDRESS = "https://cloudbilling.googleapis.com"
TIMEOUT = 20.0
"""Seconds for each of the catalog's pages."""


def current_prices(
    cache: Path,
    credentials: Any = None,  # noqa: ANN401 - google-auth's credentials have no common type
    *,
    address: str = ADDRESS,
    clock: Callable[[], float] = time.time,
) -> tuple[list[PriceList], str]:
    """The catalog's prices of today, and why there are none: prices are a help, and never stop a run.

    Args:
        cache: The folder that keeps them for a day.
        credentials: Google credentials. Default: application default credentials.
        address: Where the catalog is.
        clock: The time, in seconds since 1970.
    """
    try:
        return [catalog_prices(cache, _getter(address, credentials), now=clock())], ""
    except Exception as error:  # noqa: BLE001 - whatever keeps the catalog away, the built-in table is there
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return [], first


def _getter(address: str, credentials: Any) -> Get:  # noqa: ANN401
    with one_importer():
        from google.auth.transport.requests import AuthorizedSession

    if credentials is None:
        credentials = machine_login(["https://www.googleapis.com/auth/cloud-billing.readonly"])
    session = AuthorizedSession(credentials)

    def get(path: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        answer = session.get(f"{address}/{path}", params=dict(query), timeout=TIMEOUT)
        answer.raise_for_status()
        return answer.json()

    return get
