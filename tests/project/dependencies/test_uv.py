from pathlib import Path

import pytest
from prefect_vertex_training.project.dependencies.uv import environment, options


def told(variables: dict[str, str], *files: Path) -> dict[str, str]:
    """What uv is told, but for the strategy that is always chosen."""
    result = environment(variables, files or None if "PIP_CONFIG_FILE" in variables else files)
    assert result.pop("UV_INDEX_STRATEGY", "unsafe-best-match") == "unsafe-best-match"
    return result


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, {}),
        ({"PIP_FIND_LINKS": "/tmp /usr /proc/nowhere"}, {"UV_FIND_LINKS": "/tmp,/usr"}),
        ({"PIP_EXTRA_INDEX_URL": "https://a https://b"}, {"UV_INDEX": "https://a https://b"}),
        ({"PIP_INDEX_URL": "https://a"}, {"UV_DEFAULT_INDEX": "https://a"}),
        ({"PIP_INDEX_URL": "https://a", "UV_INDEX_URL": "https://b"}, {}),
        ({"PIP_INDEX_URL": "https://a", "UV_DEFAULT_INDEX": "https://b"}, {}),
        ({"PIP_EXTRA_INDEX_URL": "https://a", "UV_EXTRA_INDEX_URL": "https://b"}, {}),
        ({"PIP_CERT": "/c.pem"}, {"SSL_CERT_FILE": "/c.pem"}),
        ({"PIP_CERT": "/c.pem", "SSL_CERT_FILE": "/d.pem"}, {}),
        ({"PIP_TRUSTED_HOST": "host"}, {"UV_INSECURE_HOST": "host"}),
        ({"PIP_TRUSTED_HOST": "\na\nb"}, {"UV_INSECURE_HOST": "a b"}),
        ({"PIP_KEYRING_PROVIDER": "import"}, {"UV_KEYRING_PROVIDER": "subprocess"}),
        ({"PIP_INDEX_URL": "https://me:it's@a"}, {"UV_DEFAULT_INDEX": "https://me:it's@a"}),
    ],
)
def test_pips_variables_become_uvs(variables, expected):
    """What pip is told, uv is told; what uv is told already stays."""
    assert told(variables) == expected


def test_pips_files_count_weakest_first(tmp_path):
    """A later file overrides an earlier one, `[install]` the global section, and a variable all files."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("[global]\nindex-url = https://one\nextra-index-url =\n  https://a\n  https://b\n")
    two.write_text("[global]\nindex_url = https://two\n[install]\nfind-links = https://w/links\n")

    assert told({}, one, two, tmp_path / "none") == {
        "UV_DEFAULT_INDEX": "https://two",
        "UV_INDEX": "https://a https://b",
        "UV_FIND_LINKS": "https://w/links",
    }
    assert told({"PIP_INDEX_URL": "https://v"}, one, two)["UV_DEFAULT_INDEX"] == "https://v"
    one.write_text("[install]\nindex-url = https://own\n")
    assert told({}, one, two)["UV_DEFAULT_INDEX"] == "https://own"


def test_where_pips_files_are(tmp_path, monkeypatch):
    """The activated environment's counts beside the user's, which PIP_CONFIG_FILE replaces; /dev/null replaces all."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".pip").mkdir()
    (tmp_path / "venv").mkdir()
    (tmp_path / ".pip" / "pip.conf").write_text("[global]\nindex-url = https://user\nextra-index-url = https://a\n")
    (tmp_path / "venv" / "pip.conf").write_text("[global]\nindex-url = https://venv\n")
    (tmp_path / "own").write_text("[global]\nfind-links = https://w/links\n")
    venv, machine = {"VIRTUAL_ENV": str(tmp_path / "venv")}, {"XDG_CONFIG_DIRS": str(tmp_path)}

    chosen = environment(machine | venv)
    assert (chosen["UV_DEFAULT_INDEX"], chosen["UV_INDEX"]) == ("https://venv", "https://a")
    chosen = environment(machine | venv | {"PIP_CONFIG_FILE": str(tmp_path / "own")})
    assert (chosen["UV_DEFAULT_INDEX"], chosen["UV_FIND_LINKS"]) == ("https://venv", "https://w/links")
    assert chosen.get("UV_INDEX") != "https://a"
    assert told(machine | venv | {"PIP_CONFIG_FILE": "/dev/null"}) == {}


@pytest.mark.parametrize(("value", "expected"), [("1", ["--no-index"]), ("true", ["--no-index"]), ("0", [])])
def test_no_index_is_an_option(value, expected):
    """Uv has no variable for it."""
    assert options({"PIP_NO_INDEX": value}, ()) == expected


def test_a_broken_file_of_pips_is_pips_business(tmp_path):
    """It is skipped: pip itself says what is wrong with it."""
    (tmp_path / "pip.conf").write_text("index-url = x\n")

    assert told({}, tmp_path / "pip.conf") == {}


def test_a_chosen_strategy_stays():
    """Whoever wants uv's own order of indexes keeps it."""
    assert "UV_INDEX_STRATEGY" not in environment({"UV_INDEX_STRATEGY": "first-index"}, ())
