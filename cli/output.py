"""What a person sees: a line for whatever happens, one summary, one error."""

from __future__ import annotations

import logging
import os
import sys
from typing import TextIO

from ..core.errors import TrainingError
from ..flows.result import TrainingResult


class StepHandler(logging.Handler):
    """Prints the steps' own lines to stderr, and none of Prefect's; its server still gets everything.

    Args:
        level: The lowest level that is shown.
        options: What Prefect's logging settings give its own console handler.
    """

    def __init__(self, level: int = logging.INFO, **options: object) -> None:  # noqa: ARG002
        super().__init__(level)
        self._bold = sys.stderr.isatty() and "NO_COLOR" not in os.environ

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record that a step marked as its own."""
        step = getattr(record, "step", None)
        if step is None:
            return
        name = f"{step:<8}"
        if self._bold:
            name = f"\x1b[1m{name}\x1b[0m"
        # Looked up now: the stream of the moment when logging was set up may be closed.
        sys.stderr.write(f"{name} {record.getMessage()}\n")
        sys.stderr.flush()


def show_only_steps() -> None:
    """Puts the steps' lines in the place of Prefect's console output; to be called before Prefect is imported.

    Prefect sets up its logging anew at several moments, and takes its handlers' classes from the environment each time.
    """
    os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_CLASS"] = f"{__name__}.{StepHandler.__name__}"


def print_summary(result: TrainingResult, stream: TextIO) -> None:
    """Steps with their seconds, then image, job and model."""
    lines = ["", f"{'step':<9} {'state':<10} {'seconds':>7}"]
    lines += [f"{step.name:<9} {step.state:<10} {step.seconds:7.2f}" for step in result.steps]
    reused = [step.name for step in result.steps if step.state == "Cached"]
    if reused:
        lines.append(f"reused: {', '.join(reused)} (nothing they depend on has changed)")
    lines += ["", f"image  {result.image}", f"job    {result.job}  {result.state}", f"model  {result.model}"]
    stream.write("\n".join(lines) + "\n")


def print_error(error: TrainingError) -> None:
    """The detail first, so that the one line that matters stands last."""
    if error.detail:
        sys.stderr.write("".join(f"    {line}\n" for line in error.detail.splitlines()))
    sys.stderr.write(f"error: {error}\n")
