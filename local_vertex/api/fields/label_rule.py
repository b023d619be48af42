"""The rule for labels, in the words of the real service."""

from __future__ import annotations

from collections.abc import Mapping

from ..status import Violation

_RULE = (
    "There can be no more than 64 labels attached to a single resource. Label keys and values can only contain"
    " lowercase letters, numbers, dashes and underscores. Label keys must start with a letter or number, must be less"
    " than 64 characters in length, and must be less that 128 bytes in length when encoded in UTF-8. Label values must"
    " be less than 64 characters in length, and must be less that 128 bytes in length when encoded in UTF-8."
)
MAX_LABELS = 64


def label_violations(labels: Mapping[str, str], field: str) -> list[Violation]:
    """The violation of a resource's labels: one for all of them, as the real service tells it.

    Args:
        labels: The labels.
        field: Their field, for example "custom_job.labels".
    """
    good = len(labels) <= MAX_LABELS and all(_is_key(key) and _is_text(value) for key, value in labels.items())
    return [] if good else [Violation(field, _RULE)]


def _is_key(key: str) -> bool:
    return bool(key) and key[0].isalnum() and _is_text(key)


def _is_text(text: str) -> bool:
    # International letters are allowed; letters without case count as lowercase.
    letters = all((c.isalnum() and c == c.lower()) or c in "_-" for c in text)
    return letters and len(text) < 64 and len(text.encode()) < 128
