"""When the kept server may leave its tables as they are."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from prefect_vertex_training.cli.prefect_server import migrated_tables
from prefect_vertex_training.cli.prefect_server.kept_server import DATABASE
from prefect_vertex_training.cli.prefect_server.migrated_tables import is_migrated, remember_migrated
from prefect_vertex_training.core.home import Home


def put_tables(home: Home, revision: str) -> None:
    """Makes a database whose tables have that revision."""
    with closing(sqlite3.connect(home.prefect / DATABASE)) as database, database:
        database.execute("create table if not exists alembic_version (version_num text)")
        database.execute("delete from alembic_version")
        database.execute("insert into alembic_version values (?)", [revision])


def test_only_tables_that_this_prefect_has_left_so_are_migrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another revision, another Prefect, a damaged database and none all have the server look for migrations."""
    home = Home(tmp_path / "home?#%41")
    assert not is_migrated(home)
    remember_migrated(home)  # nothing to remember
    assert not is_migrated(home)

    put_tables(home, "new")
    assert not is_migrated(home)
    remember_migrated(home)
    assert is_migrated(home)

    put_tables(home, "old")  # somebody has put back what an earlier Prefect made
    assert not is_migrated(home)
    put_tables(home, "new")
    assert is_migrated(home)

    with monkeypatch.context() as other:
        other.setattr(migrated_tables, "version", lambda _: "99.0")
        assert not is_migrated(home)
    (home.prefect / DATABASE).write_bytes(b"no database")
    assert not is_migrated(home)
