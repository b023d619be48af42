"""Whether the database's tables are those of the Prefect that is installed: then its server looks for no migrations.

To look for them it imports a hundred of them, which takes a second of CPU at each start.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from importlib.metadata import version

from ...core.atomic_files import write_atomic
from ...core.home import Home
from .kept_server import DATABASE


def is_migrated(home: Home) -> bool:
    """Whether the installed Prefect has brought these tables to their state, by a start that went well.

    A database of another state, such as an older one that somebody has put back, is none.
    """
    try:
        return (home.prefect / "migrated").read_text() == _state(home)
    except (OSError, ValueError, sqlite3.Error):
        return False


def remember_migrated(home: Home) -> None:
    """Says that a server has started on these tables, which it brought to their state.

    Raises:
        StorageError: The disk is full or read-only.
    """
    with suppress(sqlite3.Error):  # the next start looks again
        write_atomic(home.prefect / "migrated", _state(home))


def _state(home: Home) -> str:
    """The installed Prefect, and the revision of the tables, as Alembic writes it."""
    with closing(sqlite3.connect((home.prefect / DATABASE).as_uri() + "?mode=ro", uri=True)) as database:
        revisions = database.execute("select version_num from alembic_version order by 1").fetchall()
    return " ".join([version("prefect"), *(str(revision) for (revision,) in revisions)])
