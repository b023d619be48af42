"""Requests that a browser makes for a foreign page are told from those of programs and of our own pages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from prefect_vertex_training.core.errors import StorageError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.core.security.same_origin import foreign_page


@pytest.mark.parametrize(
    ("host", "origin", "site"),
    [
        ("127.0.0.1:4210", None, None),
        ("localhost:4210", None, "none"),
        ("127.0.0.1:4210", "http://127.0.0.1:4210", "same-origin"),
        ("localhost:4210", "http://localhost:4210", "same-origin"),
        ("[::1]:4210", "http://[::1]:4210", None),
        ("us-central1-aiplatform.googleapis.com", None, None),
        ("host.docker.internal:4210", None, None),
        ("172.17.0.1:4210", None, None),
        (None, None, None),
    ],
)
def test_programs_and_own_pages_are_served(host: str | None, origin: str | None, site: str | None) -> None:
    """With the names of this machine, or Google's that local_vertex stands in for."""
    assert foreign_page(host, origin, site) == ""


@pytest.mark.parametrize(
    ("host", "origin", "site"),
    [
        ("127.0.0.1:4210", "https://evil.example", "cross-site"),
        ("127.0.0.1:4210", "null", "cross-site"),
        ("127.0.0.1:4210", "http://127.0.0.1:8888", "same-site"),
        ("127.0.0.1:4210", "http://127.0.0.1.evil.example:4210", None),
        ("127.0.0.1:4210", "http://localhost@evil.example:4210", None),
        ("127.0.0.1:4210", "http://[", None),
        ("127.0.0.1:4210", None, "cross-site"),
        ("evil.example:4210", None, None),
        ("evil.example:4210", "http://evil.example:4210", "same-origin"),
        ("googleapis.com.evil.example", None, None),
    ],
)
def test_foreign_pages_are_not(host: str, origin: str | None, site: str | None) -> None:
    """Another site, another port, a sandboxed page, and a host name that was bound to 127.0.0.1 afterwards."""
    assert foreign_page(host, origin, site)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777 & ~0o700])
def test_a_home_is_its_owner_s_whatever_was_there(tmp_path: Path, umask: int) -> None:
    """Its folders get mode 0700 with every umask, also those that existed with another."""
    before = os.umask(umask)
    try:
        home = Home(tmp_path / "home")
        (tmp_path / "home/vertex").mkdir(parents=True, mode=0o777)
        (tmp_path / "home").chmod(0o777)
        (tmp_path / "home/vertex").chmod(0o777)

        folders = [home.images, home.cache, home.vertex, home.prefect, home.root]
    finally:
        os.umask(before)

    assert {folder.stat().st_mode & 0o777 for folder in folders} == {0o700}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders to another user")
def test_a_home_of_another_user_is_refused(tmp_path: Path) -> None:
    """Who could put an environment or an image there."""
    (tmp_path / "home").mkdir()
    os.chown(tmp_path / "home", 12345, 12345)

    with pytest.raises(StorageError, match="belongs to another user"):
        _ = Home(tmp_path / "home").cache
