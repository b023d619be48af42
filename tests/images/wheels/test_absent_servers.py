"""Servers of a lock's wheels that are gone are found before a build."""

from __future__ import annotations

from pathlib import Path

from prefect_vertex_training.images.layers.layer_cache import LayerCache
from prefect_vertex_training.images.layers.layer_writer import Layer
from prefect_vertex_training.images.wheels.absent_servers import absent_servers
from prefect_vertex_training.images.wheels.dependency_set import wheel_key
from prefect_vertex_training.images.wheels.lockfile import read_lock

_PACKAGE = """\
[[packages]]
name = "{name}"
version = "1.0"
wheels = [{{ url = "https://{host}/{name}-1.0-py3-none-any.whl", hashes = {{ sha256 = "{hash}" }} }}]
"""


def _lock(**hosts: str) -> str:
    packages = (_PACKAGE.format(name=name, host=host, hash="a" * 64) for name, host in hosts.items())
    return 'lock-version = "1.0"\ncreated-by = "test"\n' + "".join(packages)


def test_each_server_that_is_gone_is_named_once(tmp_path: Path) -> None:
    """With what the lock has from there, and asked once; servers that answer aren't mentioned."""
    text = _lock(acme="gone.example", bolt="gone.example", cart="gone.example", dyno="here.example")
    asked: list[str] = []

    def ask(url: str) -> bool:
        asked.append(url)
        return "here" in url

    found = list(absent_servers(text, "3.11", tmp_path, cache=tmp_path, ask=ask))

    assert len(found) == 1
    assert found[0].startswith("gone.example doesn't answer, and the lock has acme 1.0, bolt 1.0 and 1 more from there")
    assert len(asked) == 2


def test_wheels_that_became_layers_need_no_server(tmp_path: Path) -> None:
    """The usual case asks for nothing on the network."""
    text = _lock(acme="gone.example")
    key = wheel_key(read_lock(text, "3.11", tmp_path)[0], "3.11")

    def make(out: object) -> Layer:
        return Layer("acme 1.0", f"sha256:{'b' * 64}", f"sha256:{'c' * 64}", 0)

    LayerCache(tmp_path / "wheels").get_or_make(key, make)

    assert not list(absent_servers(text, "3.11", tmp_path, cache=tmp_path, ask=lambda _url: False))
