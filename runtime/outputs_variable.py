"""The variable that tells the runtime which files of the working directory are outputs."""

from __future__ import annotations

import json
from typing import Dict, List, Mapping, Sequence

NAME = "VERTEX_TRAINING_OUTPUTS"
"""A JSON list of patterns."""


def encode(patterns: Sequence[str]) -> Dict[str, str]:
    """The variable for a job's environment; nothing without patterns."""
    # Vertex AI replaces `$(NAME)` and `$$` in values: the dollar sign is written as an escape.
    return {NAME: json.dumps(list(patterns)).replace("$", "\\u0024")} if patterns else {}


def decode(environ: Mapping[str, str]) -> List[str]:
    """The patterns in an environment; none if the variable isn't set.

    Raises:
        ValueError: The variable is not a JSON list of texts.
    """
    text = environ.get(NAME, "")
    if not text:
        return []
    patterns = json.loads(text)
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
        raise ValueError("not a list of texts")
    return patterns
