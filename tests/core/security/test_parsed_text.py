"""Texts of others: whatever is wrong with one, it is the format's own error, and so a line for its reader."""

from __future__ import annotations

import json
import tomllib

import pytest
import yaml
from prefect_vertex_training.core.security.parsed_text import parse_json, parse_toml, parse_yaml


@pytest.mark.parametrize("text", ["[" * 5000, '{"a":' * 5000, "9" * 5000, b"\xff\xfe\x00", "{", "", b"[1, \xc3\x28]"])
def test_json_that_can_not_be_read(text: str | bytes) -> None:
    """Nested too deeply, with a number of too many digits, in no encoding, cut."""
    with pytest.raises(json.JSONDecodeError):
        parse_json(text)


@pytest.mark.parametrize("text", [f"a = {'[' * 5000}", f"a = {'9' * 5000}", "a = 2026-13-45", "a = ", "[[a]]\n[a]"])
def test_toml_that_can_not_be_read(text: str) -> None:
    """Likewise, and a date that is none."""
    with pytest.raises(tomllib.TOMLDecodeError):
        parse_toml(text)


@pytest.mark.parametrize("text", ["[" * 5000, "a: 2026-13-45", "? [a]\n: b", "a: !!int x", "&a [*a, *b]", "\0"])
def test_yaml_that_can_not_be_read(text: str) -> None:
    """Likewise, and a list as a key."""
    with pytest.raises(yaml.YAMLError):
        parse_yaml(text)


def test_what_can_be_read() -> None:
    """The values of each format."""
    assert parse_json(b'{"a": [1, null]}') == {"a": [1, None]}
    assert parse_toml("a = 1\n[b]\nc = true\n") == {"a": 1, "b": {"c": True}}
    assert parse_yaml("a:\n- 1\n") == {"a": [1]}
