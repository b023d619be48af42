"""Everything that the commands print: step lines, the summary, errors, JSON.

Results go to standard output. With `--json` that is one JSON document; all else goes to standard error.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, TextIO

from ..core.errors import TrainingError
from .display.lines import LINES

if TYPE_CHECKING:
    from ..flows.result import TrainingResult

PREFECT_CONSOLE = "console"
"""Name of the handler in Prefect's logging configuration that prints to the terminal."""


class StepHandler(logging.Handler):
    """Logging handler that prints the lines of this package's steps to standard error, and no other record.

    Args:
        level: The lowest level that is printed.
        options: What Prefect's logging configuration passes to its own console handler; not used.
    """

    def __init__(self, level: int = logging.NOTSET, **options: object) -> None:  # noqa: ARG002
        super().__init__(level)

    def emit(self, record: logging.LogRecord) -> None:
        """Prints a record that names its step."""
        step = getattr(record, "step", None)
        if step is not None:
            print_step(step, record.getMessage())


def print_step(step: str, text: str) -> None:
    """Prints a step's text to standard error; a training's lines come many at once."""
    name = f"{step:<8}"
    if sys.stderr.isatty() and "NO_COLOR" not in os.environ:
        name = f"\x1b[1m{name}\x1b[0m"
    LINES.write("".join(f"{name} {line}\n" for line in text.split("\n")))


def print_only_steps() -> None:
    """Prints the steps' lines in place of Prefect's console output, for the rest of this process.

    Prefect's server still gets every record.
    """
    import_module("prefect.main")  # it sets up Prefect's logging: now, or its handler would be added later
    # Prefect's threads print errors of their own here, past every handler, when a server is gone.
    logging.getLogger("prefect._internal").setLevel(logging.CRITICAL)

    root = logging.getLogger()
    for handler in root.handlers:
        if handler.name == PREFECT_CONSOLE and not isinstance(handler, StepHandler):
            root.removeHandler(handler)
            steps = StepHandler(handler.level)
            steps.name = PREFECT_CONSOLE  # Prefect finds the handler by name when it sets levels again
            root.addHandler(steps)


def print_summary(result: TrainingResult, stream: TextIO) -> None:
    """Prints the steps with their seconds, then the image, the job and the model."""
    lines = ["", f"{'step':<9} {'state':<10} {'seconds':>7}"]
    lines += [f"{step.name:<9} {step.state:<10} {step.seconds:7.2f}" for step in result.steps]
    reused = [step.name for step in result.steps if step.state == "Cached"]
    if reused:
        lines.append(f"reused: {', '.join(reused)} (nothing they depend on has changed)")
    lines += ["", f"image  {result.image}", f"job    {result.job}  {result.state}", f"model  {result.model}"]
    stream.write("\n".join(lines) + "\n")


def print_json(value: object) -> None:
    """Prints one JSON document to standard output."""
    print(json.dumps(value))


def print_message(text: str) -> None:
    """Prints a line to standard error."""
    print(text, file=sys.stderr)


def print_error(error: TrainingError) -> None:
    """Prints the error's detail, then its one line, so that the line that matters stands last."""
    if error.detail:
        sys.stderr.write("".join(f"    {line}\n" for line in error.detail.splitlines()))
    print_message(f"error: {error}")
