"""Every label that a job carries, and the rules for labels.

A request may take several jobs, one after the other, when the platform fails or a person retries the run: each is one
attempt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..core.errors import VertexError

KEY_LABEL = "vertex_training_key"
"""Label with the key of one attempt: at most one live or succeeded job has it. The first attempt's key is that of its
request; a later attempt has a key of its own."""

REQUEST_LABEL = "vertex_training_request"
"""Label with the key of the request, which all its attempts share: how many there were is counted by it."""

ATTEMPT_LABEL = "vertex_training_attempt"
"""Label with the number of the attempt, from 1; after a person's retry it begins again at 1."""

RETRY_LABEL = "vertex_training_retry"
"""Label with how often a person had retried the flow run when the job was created; missing for 0."""

ENTRY_LABEL = "vertex_training_entry"
"""Label with the number of the place in the run's fall-back list, from 1; missing for a job without a list."""

ROUND_LABEL = "vertex_training_round"
"""Label with the number of the pass through the fall-back list, from 1; missing for a job without a list."""

RUN_LABEL = "prefect_flow_run"
"""Label with the id of the Prefect flow run; by it a hook or a command finds the jobs of a run."""

RATE_LABEL = "vertex_training_rate"
"""Label with the job's price, in millionths of a USD an hour, as it was known when the job was described."""

PRICES_LABEL = "vertex_training_prices"
"""Label with the price lists that the rate was computed from."""

MAX_COST_LABEL = "vertex_training_max_cost"
"""Label with the most that all jobs of the run may cost, in millionths of a USD."""

SWEEP_LABEL = "vertex_training_sweep"
"""Label with the id of the sweep that a trial's job belongs to; by it all of its jobs are found at once."""

TRIAL_LABEL = "vertex_training_trial"
"""Label with the number of the trial."""

SUBMISSION_LABELS = (KEY_LABEL, REQUEST_LABEL, ATTEMPT_LABEL, RETRY_LABEL, ENTRY_LABEL, ROUND_LABEL)
"""The labels that a submission adds to those of the request."""

LABEL_LIMIT = 63
"""Characters that a key or a value may have."""

LABELS_LIMIT = 64
"""Labels that a job may have."""

LABEL_PATTERN = re.compile(rf"[a-z0-9_-]{{0,{LABEL_LIMIT}}}")


def request_of(labels: Mapping[str, str]) -> str:
    """The key of the request that a job with these labels belongs to; empty for jobs of other programs."""
    return labels.get(REQUEST_LABEL) or labels.get(KEY_LABEL, "")


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
