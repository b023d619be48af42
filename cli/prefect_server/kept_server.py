"""The kept server's address and password, and where its files are."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ...core.atomic_files import write_atomic
from ...core.home import Home

DATABASE = "prefect.db"
"""In the server's folder, which is its working directory: a database's URL could not hold every path."""


@dataclass(frozen=True, slots=True)
class KeptServer:
    """How to reach the kept server of a home.

    Port and password stay the same from one start to the next: links and logins go on working, and a run whose server
    was killed finds the next one.

    Attributes:
        port: On 127.0.0.1.
        auth_string: What Prefect calls the auth string; its login page asks for the whole of it.
        prefect: Version of Prefect that made its database; empty before the first start.
        pid: Its process; 0 while it starts.
        started: When it was started, in seconds since 1970.
    """

    port: int
    auth_string: str
    prefect: str = ""
    pid: int = 0
    started: float = 0.0

    @property
    def origin(self) -> str:
        """As "http://127.0.0.1:4210"."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def api(self) -> str:
        """What PREFECT_API_URL has to be."""
        return f"{self.origin}/api"

    @property
    def pages(self) -> str:
        """Where its pages begin. Prefect's older ones, without /v2, say "not found" to a browser without a login."""
        return f"{self.origin}/v2"

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables with which every Prefect program finds it, and prints links that work."""
        return {
            "PREFECT_API_URL": self.api,
            "PREFECT_API_AUTH_STRING": self.auth_string,
            "PREFECT_UI_URL": self.pages,
        }


def record_path(home: Home) -> Path:
    """The file with address and password; only its owner can read it."""
    return home.prefect / "server.json"


def lock_path(home: Home) -> Path:
    """The file whose lock a running server holds."""
    return home.prefect / "server.lock"


def use_path(home: Home) -> Path:
    """The file whose lock the commands share that use the server now."""
    return home.prefect / "use.lock"


def stopped_path(home: Home) -> Path:
    """A file that is there while the server is stopped because a person wanted it."""
    return home.prefect / "stopped"


def log_path(home: Home) -> Path:
    """The server's log."""
    return home.prefect / "server.log"


def read_record(home: Home) -> KeptServer | None:
    """What the newest server wrote, which may have ended since; None without a valid record."""
    try:
        return KeptServer(**json.loads(record_path(home).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write_record(home: Home, server: KeptServer) -> None:
    """Replaces the record.

    Raises:
        StorageError: The disk is full or read-only.
    """
    write_atomic(record_path(home), json.dumps(asdict(server)))  # as a temporary file it has mode 0600
