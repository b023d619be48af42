"""The job's variable that says which checkpoints were there when the job was submitted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ...core.security.parsed_text import parse_json

NAME = "VERTEX_TRAINING_RESUMED"
"""A JSON object."""


def encode(facts: Mapping[str, Any]) -> dict[str, str]:
    """The variable for a job's environment."""
    # Vertex AI replaces `$(NAME)` and `$$` in values: the dollar sign is written as an escape.
    return {NAME: json.dumps(dict(facts)).replace("$", "\\u0024")}


def decode(variables: Mapping[str, str]) -> Mapping[str, Any]:
    """What a job's variables say that it resumed from; empty for a job that began anew."""
    try:
        facts = parse_json(variables.get(NAME, ""))
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}
