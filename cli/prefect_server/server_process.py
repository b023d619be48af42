"""The kept server's process, which `lifecycle` starts with `python -m`: Prefect's own server, and what ends it."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from packaging.version import Version

from ...core.background.detached import serve_detached
from ...core.background.process_lock import holding
from ...core.errors import PrefectServerError
from ...core.home import Home
from .kept_server import DATABASE, KeptServer, lock_path, read_record, write_record
from .migrated_tables import is_migrated, remember_migrated

_LOCK_SECONDS = 15.0
"""That an earlier server may take to end."""

_PORTS = range(4210, 4300)
"""Tried in this order at a home's first start: beside 4200, where `prefect server start` listens."""


def main(arguments: list[str]) -> int:
    """Serves until a signal or its disuse ends it.

    Args:
        arguments: As `serve_detached`; the options are `home` and `port` of `lifecycle.ensure_running`.
    """
    return serve_detached(arguments, _serve)


def _serve(options: dict[str, Any], ready: Callable[[], None]) -> None:
    home = Home(Path(options["home"]))
    deadline = time.monotonic() + _LOCK_SECONDS
    taken = PrefectServerError(
        "another Prefect server of this home runs",
        where=home.prefect,
        next_step="End it with `vertex-training local stop`",
    )
    with holding(lock_path(home), lambda: taken if time.monotonic() > deadline else None):
        before = read_record(home) or KeptServer(0, f"training:{secrets.token_urlsafe(16)}")
        _check_version(home, before)
        with _listen(before.port, options["port"]) as listening:
            server = replace(before, port=listening.getsockname()[1], prefect=version("prefect"), pid=0)
            write_record(home, server)
            os.chdir(home.prefect)
            os.environ.update(_settings(home, server))
            from .web_server import serve

            def report() -> None:
                remember_migrated(home)
                write_record(home, replace(server, pid=os.getpid(), started=time.time()))
                ready()

            serve(listening, home, server, report)


def _check_version(home: Home, before: KeptServer) -> None:
    """Refuses a database that a newer Prefect made: its tables have changes that this one does not know."""
    ours = version("prefect")
    if before.prefect and (home.prefect / DATABASE).exists() and Version(before.prefect) > Version(ours):
        raise PrefectServerError(
            f"Prefect {before.prefect} made the kept server's database, and this environment has Prefect {ours}",
            where=home.prefect,
            next_step="Upgrade Prefect here, set VERTEX_TRAINING_HOME to another folder, or give --temporary-server",
        )


def _listen(last: int, required: int | None) -> socket.socket:
    """A socket on loopback: on the required port, else on that of the last start, else on a free one."""
    for port in [required] if required else [*filter(None, [last]), *_PORTS, 0]:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
            listening.listen(2048)
        except OSError:
            listening.close()
        else:
            return listening
    raise PrefectServerError(
        "another program took the port of the kept Prefect server",
        where=f"127.0.0.1:{required}",
        next_step="Start the command again; it gets another port",
    )


def _settings(home: Home, server: KeptServer) -> dict[str, str]:
    """Prefect's settings of the server. Its PREFECT_HOME holds no results: those are the runs' own business."""
    return {
        "PREFECT_HOME": str(home.prefect),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{DATABASE}",
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(server.port),
        "PREFECT_SERVER_API_AUTH_STRING": server.auth_string,
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": server.origin,
        "PREFECT_SERVER_UI_API_URL": "/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        # A transaction for each state of a task takes more of the processor than all other work for it. Within a second
        # they are written together.
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "50",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        # Registering block types needs every installed collection, and twice the memory: `block_types` does it apart.
        "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
        "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
        "PREFECT_SERVER_DATABASE_MIGRATE_ON_START": str(not is_migrated(home)),
        # For the server's own questions about what uses it.
        **server.variables,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
