"""What is wrong with a saved block: a form takes any words, and a block's own checks run when it is loaded."""

from __future__ import annotations

from pydantic import ValidationError


def why_not(error: Exception) -> str:
    """What the first of a block's checks says; Prefect's own error for it only says that there was one."""
    cause = error if isinstance(error, ValidationError) else error.__cause__
    if isinstance(cause, ValidationError):
        return cause.errors()[0]["msg"].removeprefix("Value error, ")
    return str(error)
