"""Lends local_vertex the login for the registry of a job's image, as the cloud's service account has its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress

from .connection import Connection

_METHOD = "/prefect_vertex_training.local.Admin/LendLogin"
_SECONDS = 10


def lend_login(connection: Connection, host: str, login: Mapping[str, str]) -> None:
    """Lends a login for as long as the service runs; does nothing for a server that takes none.

    Args:
        connection: The connection to the service.
        host: The registry's host in its canonical form.
        login: User name and password, or a token, in the form that docker-py takes.
    """
    import grpc

    channel = getattr(connection.endpoint, "channel", None)
    if channel is None:
        return
    with suppress(grpc.RpcError), channel() as opened:  # an older service: docker's login on this machine may do
        call = opened.unary_unary(_METHOD)
        call(json.dumps({"host": host, "login": dict(login)}).encode(), timeout=_SECONDS)
