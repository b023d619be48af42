"""Error messages for saved blocks: Prefect's form accepts any text, and a block validates it only when it is loaded."""

from __future__ import annotations

from pydantic import ValidationError


def validation_message(error: Exception) -> str:
    """The message of the first validation that failed; Prefect's own error does not contain it."""
    cause = error if isinstance(error, ValidationError) else error.__cause__
    if isinstance(cause, ValidationError):
        return cause.errors()[0]["msg"].removeprefix("Value error, ")
    return str(error)
