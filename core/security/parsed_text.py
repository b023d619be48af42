"""Parses JSON, TOML and YAML that somebody else wrote: whatever is wrong with a text, it is the format's own error.

The standard library's parsers also raise RecursionError for deep nesting, and a plain ValueError for a number of
thousands of digits, which callers don't expect.
"""

from __future__ import annotations

import json
import tomllib
from typing import Any

_TOO_DEEP = "it is nested too deeply"


def parse_json(text: str | bytes) -> Any:  # noqa: ANN401 - whatever the text holds
    """The value of a JSON text.

    Raises:
        json.JSONDecodeError: It is no JSON, or nothing that can be read: a ValueError.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except RecursionError:
        raise json.JSONDecodeError(_TOO_DEEP, "", 0) from None
    except ValueError as error:  # not UTF-8, or a number of too many digits
        raise json.JSONDecodeError(str(error), "", 0) from error


def parse_toml(text: str) -> dict[str, Any]:
    """The document of a TOML text.

    Raises:
        tomllib.TOMLDecodeError: It is no TOML, or nothing that can be read: a ValueError.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise tomllib.TOMLDecodeError(_TOO_DEEP) from None
    except ValueError as error:  # a number of too many digits, or a date that isn't
        raise tomllib.TOMLDecodeError(str(error)) from error


def parse_yaml(text: str) -> Any:  # noqa: ANN401 - whatever the text holds
    """The value of a YAML text, made of plain values alone.

    Raises:
        yaml.YAMLError: It is no YAML, or nothing that can be read.
    """
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise
    except RecursionError:
        raise yaml.YAMLError(_TOO_DEEP) from None
    except (ValueError, TypeError, AttributeError, KeyError) as error:  # a date that isn't, a list as a key
        raise yaml.YAMLError(str(error)) from error
