"""A private package index, over real HTTP: its login serves the resolve and the download, and is nowhere afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.private_index import PASSWORD, index
from prefect_vertex_training.core.errors import DependencyError
from prefect_vertex_training.core.network.index_logins import IndexLogins
from prefect_vertex_training.images.wheels.download import Downloader
from prefect_vertex_training.images.wheels.lockfile import read_lock
from prefect_vertex_training.project.dependencies import uv
from prefect_vertex_training.project.dependencies.find_list import read
from prefect_vertex_training.project.dependencies.freeze import freeze
from prefect_vertex_training.project.local_run.virtualenv import environment
from prefect_vertex_training.project.settings.settings import load

__all__ = ["index"]


@pytest.mark.parametrize(
    "way", ["url", "variables", "pip.conf", "uv's variables", "uv's old variable", "uv.toml", "netrc"]
)
def test_a_login_serves_resolve_and_download(
    way: str, index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock, its records and the environment have no part of it."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    (tmp_path / "home").mkdir()
    plain, private = f"http://{index}/simple", f"http://alice:s3cr3t%2Fpw@{index}/simple"
    lines = {"url": private, "variables": f"http://alice:${{PW}}@{index}/simple", "netrc": plain}
    project = tmp_path / "project"
    project.mkdir()
    (project / "train.py").write_text("import demo\n")
    (project / "requirements.txt").write_text(f"--index-url {lines[way]}\ndemo\n" if way in lines else "demo\n")
    monkeypatch.setenv("PW", "s3cr3t%2Fpw")
    if way == "pip.conf":
        (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {private}\n")
        monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    elif way == "uv's variables":
        monkeypatch.setenv("UV_DEFAULT_INDEX", private)
    elif way == "uv's old variable":
        monkeypatch.setenv("UV_INDEX_URL", private)
    elif way == "uv.toml":
        (tmp_path / "uv.toml").write_text(f'[[index]]\nname = "own"\nurl = "{plain}"\ndefault = true\n')
        monkeypatch.setenv("UV_CONFIG_FILE", str(tmp_path / "uv.toml"))
        monkeypatch.setenv("UV_INDEX_OWN_USERNAME", "alice")
        monkeypatch.setenv("UV_INDEX_OWN_PASSWORD", PASSWORD)
    elif way == "netrc":
        (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login alice password {PASSWORD}\n")
        (tmp_path / "netrc").chmod(0o600)
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    settings, cache = load(project), tmp_path / "cache"
    lock = freeze(project, settings, cache=cache)
    (wheel,) = read_lock(lock.text, "3.11", project)
    logins = uv.index_logins(project, read(project, settings))

    assert f"http://{index}/files/" in lock.text
    assert Downloader(tmp_path / "downloads", logins=logins).fetch(wheel).stat().st_size > 0
    python = environment(project, settings, cache=cache, listed=read(project, settings))
    assert list(python.parents[1].glob("lib/*/site-packages/demo.py"))
    kept = [path for path in (*cache.rglob("*"), *(tmp_path / "downloads").rglob("*")) if path.is_file()]
    assert [path for path in kept if b"s3cr3t" in path.read_bytes()] == []
    assert "s3cr3t" not in f"{lock}{logins}"


def test_a_wrong_login_is_not_shown(index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the index's host, without the password."""
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    project = tmp_path / "project"
    project.mkdir()
    (project / "train.py").write_text("import demo\n")
    (project / "requirements.txt").write_text(f"--index-url http://alice:wr0ng@{index}/simple\ndemo\n")
    with pytest.raises(DependencyError) as caught:
        freeze(project, load(project), cache=tmp_path / "cache")

    assert "wr0ng" not in f"{caught.value}{caught.value.detail}"
    assert repr(IndexLogins([f"http://alice:wr0ng@{index}/simple"])) == "IndexLogins(1)"
