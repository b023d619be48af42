"""Locks: the wheels that they select, and packages that can't be installed on linux/amd64."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect_vertex_training.core.errors import WheelError
from prefect_vertex_training.images.wheels.lockfile import lock_hash, read_lock

HASH = "ab" * 32
HEAD = 'lock-version = "1.0"\ncreated-by = "uv"\nrequires-python = ">=3.11"\n'


def _package(name: str, *wheels: str, extra: str = "") -> str:
    items = ", ".join(f'{{ {wheel}, hashes = {{ sha256 = "{HASH}" }} }}' for wheel in wheels)
    return f'[[packages]]\nname = "{name}"\nversion = "1.0"\n{extra}wheels = [{items}]\n'


def _read(*packages: str, python: str = "3.11") -> list:
    return read_lock(HEAD + "".join(packages), python, Path("/project"))


def test_the_best_wheel_for_the_platform() -> None:
    """Of a package's wheels the most specific one for this Python on linux/amd64 is selected."""
    tags = [
        "py3-none-any",
        "cp311-cp311-manylinux_2_28_x86_64",
        "cp311-cp311-macosx_11_0_arm64",
        "cp312-cp312-manylinux2014_x86_64",
    ]
    wheels = [f'url = "https://index.example/z_demo-1.0-{tag}.whl", size = 7' for tag in tags]

    found = _read(_package("z-demo", *wheels), _package("a", 'url = "https://index.example/a-1.0-py3-none-any.whl"'))

    assert [w.filename for w in found] == ["a-1.0-py3-none-any.whl", "z_demo-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"]
    assert [w.size for w in found] == [0, 7]
    assert found[1].title == "z-demo 1.0"


@pytest.mark.parametrize(
    "tag",
    [
        "py2.py3-none-any",
        "cp36-abi3-manylinux1_x86_64",
        "cp311-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64",
        "py3-none-manylinux_2_39_x86_64",
        "cp311-cp311-linux_x86_64",
    ],
)
def test_what_fits(tag: str) -> None:
    """Old and new glibc names, the stable ABI and pure Python all fit."""
    assert len(_read(_package("demo", f'url = "https://index.example/demo-1.0-{tag}.whl"'))) == 1


def test_places(tmp_path: Path) -> None:
    """A wheel can be a URL, a file URL, a path relative to the project, or a direct reference."""
    name = "demo-1.0-py3-none-any.whl"

    assert (
        f"https://index.example/x/{name}"
        == _read(_package("demo", f'url = "https://index.example/x/{name}"'))[0].source
    )
    assert Path(f"/a b/{name}") == _read(_package("demo", f'url = "file:///a%20b/{name}"'))[0].source
    assert Path(f"/project/wheels/{name}") == _read(_package("demo", f'path = "wheels/{name}"'))[0].source
    archive = (
        f'[[packages]]\nname = "demo"\narchive = {{ path = "/wheels/{name}", hashes = {{ sha256 = "{HASH}" }} }}\n'
    )
    assert Path(f"/wheels/{name}") == _read(archive)[0].source
    assert name == _read(archive)[0].filename


def test_markers() -> None:
    """A package for another platform is left out."""
    other = _package(
        "win", 'url = "https://index.example/win-1.0-py3-none-any.whl"', extra="marker = \"sys_platform == 'win32'\"\n"
    )

    assert _read(other) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("not toml", "can't be used"),
        ('lock-version = "9.0"\ncreated-by = "x"\npackages = []\n', "can't be used"),
        (HEAD + _package("demo", 'url = "https://index.example/demo-1.0-cp311-cp311-win_amd64.whl"'), "demo"),
        (
            HEAD + _package("demo", 'url = "https://index.example/demo-1.0-cp311-cp311-manylinux_2_17_aarch64.whl"'),
            "demo",
        ),
        (
            HEAD + _package("demo", 'url = "https://index.example/demo-1.0-cp312-cp312-manylinux_2_17_x86_64.whl"'),
            "demo",
        ),
        (
            HEAD + _package("demo", 'url = "https://index.example/demo-1.0-cp311-cp311-musllinux_1_2_x86_64.whl"'),
            "demo",
        ),
        (
            HEAD + '[[packages]]\nname = "demo"\nversion = "1.0"\nsdist = { url = "https://a.example/demo-1.0.tar.gz", '
            f'hashes = {{ sha256 = "{HASH}" }} }}\n',
            "demo has no wheel",
        ),
        (
            HEAD + f'[[packages]]\nname = "demo"\narchive = {{ path = "/w/demo-1.0-cp310-cp310-win32.whl", '
            f'hashes = {{ sha256 = "{HASH}" }} }}\n',
            "isn't for Python 3.11",
        ),
        (
            HEAD + '[[packages]]\nname = "demo"\nversion = "1.0"\nwheels = [{ url = "https://index.example/'
            'demo-1.0-py3-none-any.whl", hashes = { md5 = "00" } }]\n',
            "no sha256",
        ),
        (HEAD.replace(">=3.11", ">=3.13"), "can't be used"),
    ],
)
def test_what_does_not_fit(text: str, reason: str) -> None:
    """For another platform or Python, a source distribution or no hash, the error names the package."""
    with pytest.raises(WheelError, match=reason) as caught:
        read_lock(text, "3.11", Path("/project"))

    assert "\n" not in str(caught.value)
    assert "Lock" in (caught.value.next_step or "")


def test_hash_is_of_wheels_alone() -> None:
    """Mirrors, comments and order don't change a lock's hash; a wheel or the Python does."""
    one = _package("one", 'url = "https://index.example/one-1.0-py3-none-any.whl"')
    two = _package("two", 'url = "https://index.example/two-1.0-py3-none-any.whl"')
    same = lock_hash(_read(one, two), "3.11")

    assert same == lock_hash(_read("# by uv\n", two.replace("index.example", "mirror.example"), one), "3.11")
    assert same != lock_hash(_read(one), "3.11")
    assert same != lock_hash(_read(one, two), "3.12")
    assert read_lock("", "3.11", Path()) == []
