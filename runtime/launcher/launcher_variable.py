"""The variable that tells the runtime which launcher starts the script, and how many processes."""

from __future__ import annotations

import json
from typing import Any, Dict, Mapping, NamedTuple, Optional

NAME = "VERTEX_TRAINING_LAUNCHER"
"""A JSON object."""

LAUNCHERS = ("torchrun", "accelerate")

Launch = NamedTuple("Launch", [("launcher", str), ("processes", int), ("without_gpu", int)])
Launch.__doc__ = """How a script is started.

Attributes:
    launcher: One of `LAUNCHERS`.
    processes: Processes on each machine; 0 for one on each GPU.
    without_gpu: Processes on a machine that has no GPU, where `processes` is 0.
"""


def encode(launch: Launch) -> Dict[str, str]:
    """The variable for a job's environment."""
    return {NAME: json.dumps(dict(zip(Launch._fields, launch)))}


def decode(environ: Mapping[str, str]) -> Optional[Launch]:
    """What an environment says; None if the variable isn't set.

    Raises:
        ValueError: The variable has another form.
    """
    text = environ.get(NAME, "")
    if not text:
        return None
    found = json.loads(text)
    if not isinstance(found, dict) or found.get("launcher") not in LAUNCHERS:
        raise ValueError("not a launcher: use one of %s" % ", ".join(LAUNCHERS))
    return Launch(found["launcher"], _count(found, "processes", 0), _count(found, "without_gpu", 1))


def _count(found: Dict[str, Any], key: str, least: int) -> int:
    value = found.get(key, least)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError("%s must be a whole number, %d or more" % (key, least))
    return value
