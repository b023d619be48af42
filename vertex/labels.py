"""Every label that a job carries, and the rules for labels.

A request may take several jobs, one after the other, when the platform fails: each is one attempt.
"""

from __future__ import annotations

import re

from ..core.errors import VertexError

KEY_LABEL = "vertex_training_key"
"""Label with the key of one attempt: at most one live or succeeded job has it. The first attempt's key is that of its
request; a later attempt has a key of its own."""

REQUEST_LABEL = "vertex_training_request"
"""Label with the key of the request, which all its attempts share: how many there were is counted by it."""

ATTEMPT_LABEL = "vertex_training_attempt"
"""Label with the number of the attempt, from 1."""

RUN_LABEL = "prefect_flow_run"
"""Label with the id of the Prefect flow run; by it a hook or a command finds the jobs of a run."""

SUBMISSION_LABELS = (KEY_LABEL, REQUEST_LABEL, ATTEMPT_LABEL)
"""The labels that a submission adds to those of the request."""

LABEL_LIMIT = 63
"""Characters that a key or a value may have."""

LABELS_LIMIT = 64
"""Labels that a job may have."""

LABEL_PATTERN = re.compile(rf"[a-z0-9_-]{{0,{LABEL_LIMIT}}}")


def check_label_value(value: str) -> None:
    """Checks a label's value.

    Raises:
        VertexError: It is empty, longer than 63 characters, or has others than lowercase letters, digits, `_` and `-`.
    """
    if not value or not LABEL_PATTERN.fullmatch(value):
        raise VertexError(
            "not a valid label value",
            where=repr(value),
            next_step=f"Use 1 to {LABEL_LIMIT} lowercase letters, digits, `_` and `-`",
        )
