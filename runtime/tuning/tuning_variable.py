"""The variable that tells the runtime the number by which a tuning job measures trials, and the job's folder."""

from __future__ import annotations

import json
from typing import Dict, Mapping, NamedTuple, Optional

NAME = "VERTEX_TRAINING_TUNING"
"""A JSON object."""

Tuning = NamedTuple("Tuning", [("metric", str), ("output", str)])
Tuning.__doc__ = """What a tuning job's trials share.

Attributes:
    metric: Name of the number, as the script prints it.
    output: The tuning job's output folder, a gs:// URI; each trial has a folder of its own in it.
"""


def encode(tuning: Tuning) -> Dict[str, str]:
    """The variable for a job's environment."""
    # Vertex AI replaces `$(NAME)` and `$$` in values: the dollar sign is written as an escape.
    return {NAME: json.dumps({"metric": tuning.metric, "output": tuning.output}).replace("$", "\\u0024")}


def decode(environ: Mapping[str, str]) -> Optional[Tuning]:
    """What an environment says; None if the variable isn't set.

    Raises:
        ValueError: The variable has another form.
    """
    text = environ.get(NAME, "")
    if not text:
        return None
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("not an object")
    metric, output = found.get("metric"), found.get("output")
    if not isinstance(metric, str) or not isinstance(output, str) or not metric:
        raise ValueError("metric and output must be texts")
    return Tuning(metric, output)
