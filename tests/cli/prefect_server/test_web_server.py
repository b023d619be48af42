"""The kept Prefect server answers programs and its own pages, and no page of others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest


def asked(kind: str = "http", method: str = "POST", **headers: str) -> list[Any]:
    """What the server sends for a request with these headers; Prefect's part only says that it was called."""
    sent: list[Any] = []

    async def app(_scope: object, _receive: object, send: Any) -> None:
        await send("served")

    async def send(message: Any) -> None:
        sent.append(message)

    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": kind, "method": method, "headers": pairs}
    # Prefect's server takes seconds to import, which each of pytest's processes would pay.
    from prefect_vertex_training.cli.prefect_server.web_server import Activity

    asyncio.run(Activity(app)(scope, None, send))
    return sent


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "127.0.0.1:4210"},
        {"host": "localhost:4210", "origin": "http://localhost:4210", "sec_fetch_site": "same-origin"},
    ],
)
def test_programs_and_its_own_pages_are_served(headers: dict[str, str]) -> None:
    """A worker sends no origin."""
    assert asked(**headers) == ["served"]
    assert asked("websocket", **headers) == ["served"]


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "127.0.0.1:4210", "origin": "https://evil.example"},
        {"host": "rebound.evil.example:4210"},
        {"host": "127.0.0.1:4210", "sec_fetch_site": "cross-site"},
    ],
)
def test_pages_of_others_are_refused(headers: dict[str, str]) -> None:
    """Before Prefect sees the request; a websocket is closed."""
    assert asked(**headers)[0]["status"] == 403
    assert asked("websocket", **headers) == [{"type": "websocket.close", "code": 1008}]


def test_a_link_on_another_page_leads_to_ours() -> None:
    """In a chat, for example: the browser shows our page, which the other one can't read."""
    headers = {"host": "127.0.0.1:4210", "sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}

    assert asked(method="GET", **headers) == ["served"]
    assert asked(method="POST", **headers)[0]["status"] == 403
