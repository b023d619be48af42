"""Logins of private indexes: found in every place, and shown nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect_vertex_training.core.network.index_logins import IndexLogins, without_login

FILE = "https://index.example/packages/a-1.0-py3-none-any.whl"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No login of this machine counts."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    return tmp_path


@pytest.mark.parametrize(
    ("texts", "variables"),
    [
        (["--index-url https://me:p%40ss@index.example/simple"], {}),
        (["--extra-index-url https://me:${PW}@index.example/simple"], {"PW": "p%40ss"}),
        (["a @ https://me:p%40ss@index.example/other/a.whl"], {}),
        ([], {"UV_INDEX": "corp=https://me:p%40ss@index.example/simple"}),
        ([], {"UV_DEFAULT_INDEX": "https://me:p%40ss@index.example/simple"}),
        ([], {"PIP_EXTRA_INDEX_URL": "https://x.example https://me:p%40ss@index.example/simple"}),
        ([], {"UV_INDEX_MY_CORP_USERNAME": "me", "UV_INDEX_MY_CORP_PASSWORD": "p@ss"}),
        (
            ["--index-url https://me@index.example/simple"],
            {"UV_INDEX": "own=https://index.example/x", "UV_INDEX_OWN_USERNAME": "me", "UV_INDEX_OWN_PASSWORD": "p@ss"},
        ),
        (["--index-url https://me:p%40ss@INDEX.example:443/simple/"], {}),
    ],
)
def test_where_logins_are_found(texts: list[str], variables: dict[str, str], tmp_path: Path) -> None:
    """In options, requirements, variables and uv's settings; for every file of the same server, and no other."""
    (tmp_path / "pyproject.toml").write_text(
        '[[tool.uv.index]]\nname = "my-corp"\nurl = "https://index.example/simple"\n'
    )
    logins = IndexLogins(texts, variables, [tmp_path / "pyproject.toml", tmp_path / "missing"])

    assert logins.of(FILE) == ("me", "p@ss")
    assert logins.of(FILE.replace("index.", "other.")) is None
    assert logins.of(FILE.replace("https", "http")) is None
    assert "ss" not in repr(logins)


def test_netrc_and_keyring(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the URL has none: .netrc, and the keyring program if pip or uv is told to use it."""
    program = own_home / "keyring"
    program.write_text('#!/bin/sh\n[ "$2" = index.example ] && echo "of-$3"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(own_home), prepend=":")
    texts = ["--index-url https://me@index.example/simple"]

    assert IndexLogins(texts, {}).of(FILE) == ("me", "")
    assert IndexLogins(texts, {"UV_KEYRING_PROVIDER": "subprocess"}).of(FILE) == ("me", "of-me")
    (own_home / "uv.toml").write_text('[pip]\nkeyring-provider = "subprocess"\n')
    assert IndexLogins(texts, {}, [own_home / "uv.toml"]).of(FILE) == ("me", "of-me")
    (own_home / ".netrc").write_text("machine index.example login you password pw\n")
    (own_home / ".netrc").chmod(0o644)
    assert IndexLogins(texts, {}).of(FILE) == ("you", "pw")
    (own_home / ".netrc").write_text("default login any password of-all\n")
    assert IndexLogins(texts, {}).of(FILE) == ("any", "of-all")


def test_what_uv_stored(tmp_path: Path) -> None:
    """`uv auth login` keeps logins by the beginning of URLs."""
    (tmp_path / "credentials.toml").write_text(
        '[[credential]]\nservice = "https://index.example/"\nusername = "me"\nscheme = "basic"\npassword = "pw"\n'
    )
    logins = IndexLogins([], {"UV_CREDENTIALS_DIR": str(tmp_path)})

    assert logins.of(FILE) == ("me", "pw")
    assert logins.of("https://other.example/a.whl") is None


@pytest.mark.parametrize(
    ("url", "login"),
    [
        ("https://t0ken@index.example/simple", ("t0ken", "")),
        ("https://t0ken:@index.example/simple", ("t0ken", "")),
        ("https://:t0ken@index.example/simple", ("", "t0ken")),
        ("https://me:p@ss@index.example/simple", ("me", "p@ss")),
    ],
)
def test_halves_of_logins(url: str, login: tuple[str, str]) -> None:
    """A token may stand alone on either side, as pip takes it; nothing of it is left in the URL without a login."""
    assert IndexLogins([url], {}).of(FILE) == login
    assert without_login(url) == "https://index.example/simple"


def test_the_nearest_index_counts() -> None:
    """Of several on one server the one with the longest common path."""
    texts = [
        "--index-url https://a:1@index.example/one/simple",
        "--extra-index-url https://b:2@index.example/two/simple",
    ]

    assert IndexLogins(texts, {}).of("https://index.example/two/files/x.whl") == ("b", "2")
    assert list(IndexLogins(texts, {}).each(FILE)) == [("a", "1"), ("b", "2")]


def test_texts_without_logins() -> None:
    """The user of an ssh address is no login."""
    text = "x @ https://me:pw@h.example/x.whl, http://t0ken@h, git+ssh://git@h.example/x, git+https://t:k@h/x"

    assert without_login(text) == ("x @ https://h.example/x.whl, http://h, git+ssh://git@h.example/x, git+https://h/x")
