"""All labels that a job carries, and what a label's value may be."""

from __future__ import annotations

import re

from ..core.errors import VertexError

KEY_LABEL = "vertex_training_key"
"""The label that carries a request's key, the same on every attempt."""

LABEL_LIMIT = 63


LABEL_PATTERN = re.compile(r"[a-z0-9_-]{0,63}")


def check_label_value(value: str) -> None:
    """Checks a label's value.

    Raises:
        VertexError: It is longer than 63 characters, or has others than lowercase letters, digits, `_` and `-`.
    """
    if not value or not LABEL_PATTERN.fullmatch(value):
        raise VertexError(
            "not a valid label value",
            where=repr(value),
            next_step=f"Use 1 to {LABEL_LIMIT} lowercase letters, digits, `_` and `-`",
        )


REQUEST_LABEL = "vertex_training_request"
"""The label that carries the request's key, the same on all its attempts."""


ATTEMPT_LABEL = "vertex_training_attempt"
"""The label that carries the attempt's number, from 1."""


RUN_LABEL = "prefect_flow_run"
"""The job's label that carries the flow run's id, for whoever knows nothing else of the job."""
