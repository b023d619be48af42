"""Prefect's web server in this process, which ends when nothing has used it for hours."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import uvicorn
from prefect.server.api.server import create_app

from ...core.home import Home
from ...core.security.same_origin import foreign_page
from .block_types import register_apart
from .kept_server import KeptServer
from .usage import INTERNAL, is_used

IDLE_VARIABLE = "VERTEX_TRAINING_SERVER_IDLE_HOURS"
"""Environment variable of whoever starts the server: after how many hours without use it ends."""

IDLE_HOURS = 8.0

_CHECKS = 20
"""How often the server looks whether it is in use, in the time after which it ends."""

_CLOSE_SECONDS = 5
"""How long open connections may last when the server ends: a page or a worker would keep them for ever."""


class Activity:
    """An application that remembers when it was used last.

    Args:
        app: Prefect's application.
    """

    def __init__(self, app: Callable[..., Any]) -> None:
        self._app = app
        self._open = 0
        self._last = time.monotonic()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:  # noqa: ANN401 - as ASGI has them
        """Serves one request or connection."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope.get("headers", ())}
        # A link on a foreign page may lead here: a browser then shows our page, which the foreign one can't read.
        is_link = scope.get("method") == "GET" and headers.get("sec-fetch-mode") == "navigate"
        site = None if is_link else headers.get("sec-fetch-site")
        if scope["type"] != "lifespan" and foreign_page(headers.get("host"), headers.get("origin"), site):
            await _refuse(scope, send)
            return
        internal = INTERNAL in headers
        if scope["type"] == "lifespan" or internal:
            await self._app(scope, receive, send)
            return
        self._open += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open -= 1
            self._last = time.monotonic()

    def unused_for(self) -> float:
        """Seconds since the end of the last request; 0 while one is open."""
        return 0.0 if self._open else time.monotonic() - self._last


async def _refuse(scope: dict[str, Any], send: Any) -> None:  # noqa: ANN401 - as ASGI has them
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"Only pages and programs of this machine are served"})


class _Server(uvicorn.Server):
    """Reports when it is ready, and ends itself when it is not used."""

    def __init__(self, config: uvicorn.Config, activity: Activity, home: Home, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._activity = activity
        self._home = home
        self._ready = ready
        self._watch: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and not self.should_exit:
            gc.collect()
            gc.freeze()  # what the server is made of never becomes garbage
            self._watch = asyncio.create_task(self._end_when_unused())
            self._ready()

    async def _end_when_unused(self) -> None:
        limit = _idle_seconds()
        while not self.should_exit:
            await asyncio.sleep(limit / _CHECKS)
            unused = self._activity.unused_for() >= limit
            if unused and not await asyncio.to_thread(is_used, self._home):
                self.should_exit = True


def serve(listening: socket.socket, home: Home, server: KeptServer, ready: Callable[[], None]) -> None:
    """Serves on a socket until a signal or disuse ends it; ends the process if the server can't be started.

    Args:
        listening: The socket.
        home: The home folder.
        server: The server's address.
        ready: Called when the server answers.
    """
    activity = Activity(create_app(final=True))
    config = uvicorn.Config(
        activity,
        host="127.0.0.1",
        port=server.port,
        log_level="warning",
        timeout_graceful_shutdown=_CLOSE_SECONDS,
    )

    def started() -> None:
        ready()
        register_apart(home)

    _Server(config, activity, home, started).run([listening])


def _idle_seconds() -> float:
    try:
        return float(os.environ[IDLE_VARIABLE]) * 3600
    except (KeyError, ValueError):
        return IDLE_HOURS * 3600
