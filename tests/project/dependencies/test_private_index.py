"""A private package index, over real HTTP: its login serves the resolve and the download, and is nowhere afterwards."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures.projects.private_index import PASSWORD, index, package_pages, served
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


LINES = {
    "url": "http://alice:s3cr3t%2Fpw@{index}/simple",
    "variables": "http://alice:${{PW}}@{index}/simple/",
    "netrc": "http://{index}/simple",
    "netrc's default": "http://{index}/simple",
    "keyring": "http://alice@{index}/simple",
    "uv's store": "http://{index}/simple",
}
"""The index in the project's list."""
VARIABLES = {
    "variables": {"PW": "s3cr3t%2Fpw"},
    "pip.conf": {"PIP_CONFIG_FILE": "{folder}/pip.conf"},
    "pip.conf of the environment": {"VIRTUAL_ENV": "{folder}"},
    "uv's variables": {"UV_DEFAULT_INDEX": LINES["url"]},
    "uv's old variable": {"UV_INDEX_URL": LINES["url"]},
    "uv's named variable": {
        "UV_DEFAULT_INDEX": "own=http://{index}/simple",
        "UV_INDEX_OWN_USERNAME": "alice",
        "UV_INDEX_OWN_PASSWORD": PASSWORD,
    },
    "uv.toml": {
        "UV_CONFIG_FILE": "{folder}/uv.toml",
        "UV_INDEX_OWN_USERNAME": "alice",
        "UV_INDEX_OWN_PASSWORD": PASSWORD,
    },
    "uv's store": {"UV_CREDENTIALS_DIR": "{folder}"},
    "netrc": {"NETRC": "{folder}/netrc"},
    "netrc's default": {"NETRC": "{folder}/netrc-default"},
    "keyring": {"PIP_KEYRING_PROVIDER": "subprocess"},
}
"""The environment."""
FILES = {
    "pip.conf": "[install]\nindex-url = http://alice:s3cr3t%2Fpw@{index}/simple/\n",
    "uv.toml": '[[index]]\nname = "own"\nurl = "http://{index}/simple"\ndefault = true\n',
    "netrc": f"machine 127.0.0.1 login alice password {PASSWORD}\n",
    "netrc-default": f"default login alice password {PASSWORD}\n",
    "credentials.toml": '[[credential]]\nservice = "http://{index}/"\nusername = "alice"\nscheme = "basic"\n'
    f'password = "{PASSWORD}"\n',
    "bin/keyring": f'#!/bin/sh\n[ "$3" = alice ] && echo "{PASSWORD}"\n',
}
"""What lies in a folder beside the project; only what the environment names is read."""


@pytest.mark.parametrize("way", sorted({*LINES, *VARIABLES}))
def test_a_login_serves_resolve_and_download(
    way: str, index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock, its records and the environment have no part of it."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    folder, project = tmp_path / "settings", tmp_path / "project"
    for each in (tmp_path / "home", folder / "bin", project):
        each.mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(text.format(index=index))
    (folder / "bin" / "keyring").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder / "bin"), prepend=os.pathsep)
    for name, value in VARIABLES.get(way, {}).items():
        monkeypatch.setenv(name, value.format(index=index, folder=folder))
    (project / "train.py").write_text("import demo\n")
    line = f"--index-url {LINES[way].format(index=index)}\n" if way in LINES else ""
    (project / "requirements.txt").write_text(f"{line}demo\n")
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


@pytest.mark.parametrize("first", ["alice:one", "t0ken"])
def test_two_logins_on_one_server(
    first: str, tmp_path: Path, make_wheel: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each index has its own, one of them perhaps a token without a password; a release with only an sdist, too."""
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    source = tmp_path / "other-1.0"
    source.mkdir()
    (source / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (source / "other.py").write_text("")
    (source / "setup.py").write_text(
        "from setuptools import setup\nsetup(name='other', version='1.0', py_modules=['other'])"
    )
    with tarfile.open(tmp_path / "other-1.0.tar.gz", "w:gz") as archive:
        archive.add(source, source.name)
    wheel = make_wheel(tmp_path, {"demo.py": b""}, name="demo")
    pages = package_pages("/a", "demo", wheel, first if ":" in first else f"{first}:")
    pages |= package_pages("/b", "other", tmp_path / "other-1.0.tar.gz", "bob:two")
    project = tmp_path / "project"
    project.mkdir()
    (project / "train.py").write_text("import demo, other\n")
    with served(pages) as host:
        (project / "requirements.txt").write_text(
            f"--index-url http://{first}@{host}/a/simple\n--extra-index-url http://bob:two@{host}/b/simple\ndemo\nother\n"
        )
        settings = load(project)
        listed = read(project, settings)
        lock = freeze(project, settings, cache=tmp_path / "cache")
        wheels = read_lock(lock.text, "3.11", project)
        downloader = Downloader(tmp_path / "downloads", logins=uv.index_logins(project, listed))

        assert all(downloader.fetch(wheel).stat().st_size for wheel in wheels)
        python = environment(project, settings, cache=tmp_path / "cache", listed=listed)
    assert {path.name for path in python.parents[1].glob("lib/*/site-packages/*.py")} >= {"demo.py", "other.py"}
    assert first not in lock.text


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
