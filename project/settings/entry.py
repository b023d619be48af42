"""How a project's training is started: a script, a module, a console script, a notebook, or a command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...core.placeholders import has_placeholder

Kind = Literal["script", "module", "console-script", "notebook", "command"]
PYTHON = "python"
"""The word of a command that stands for the interpreter."""


@dataclass(frozen=True, slots=True)
class Entry:
    """How the training is started.

    Attributes:
        kind: `script` runs a file, `module` is `python -m`, `console-script` calls a function that
            `[project.scripts]` names, `notebook` runs the script made from a notebook, `command` runs words as
            they are.
        file: The Python file that is read for options, relative to the project; empty for a command without one.
        target: The module's name, or the function as `PACKAGE.MODULE:FUNCTION`; empty for the other kinds.
        command: The words of a command; empty for the other kinds.
        notebook: The notebook that `file` is made from; empty for the other kinds.
    """

    kind: Kind
    file: str
    target: str = ""
    command: tuple[str, ...] = ()
    notebook: str = ""

    @property
    def source(self) -> str:
        """The project's file that holds the code: the notebook, or else `file`."""
        return self.notebook or self.file

    def typed(self) -> tuple[str, ...]:
        """The words as a person would type them, without arguments; `python` is the interpreter."""
        if self.kind == "module":
            return (PYTHON, "-m", self.target)
        if self.kind == "console-script":
            return (PYTHON, "-c", _calling(self.target))
        if self.kind == "command":
            first, *rest = self.command
            return (PYTHON if first == "python3" else first, *rest)
        return (PYTHON, self.file)

    def words(self, python: str) -> list[str]:
        """The program and what stands before the arguments, with `python` as the interpreter's path."""
        first, *rest = self.typed()
        return [python if first == PYTHON else first, *rest]

    def image_words(self) -> tuple[str, ...]:
        """The words that an image keeps as its entry point: those before the first one with a placeholder."""
        words = self.typed()
        return words[: next((i for i, word in enumerate(words) if has_placeholder(word)), len(words))]

    def job_words(self) -> tuple[str, ...]:
        """The other words, which each job has before its arguments."""
        return self.typed()[len(self.image_words()) :]


def _calling(target: str) -> str:
    """Python code that calls a function as pip's console scripts do."""
    module, _, function = target.partition(":")
    first = function.partition(".")[0]
    return f"import sys; from {module} import {first}; sys.exit({function}())"
