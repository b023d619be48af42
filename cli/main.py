"""The command line `vertex-training`: finds the command, runs it and turns its outcome into an exit code.

Exit codes: 0 success (for `run`: the model is there); 2 an error that the user can fix, told in one line;
130 interrupted; 1 a fault of this program, with its traceback.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter, UnknownOptionError, UnusedCliTokensError

from ..core.errors import TrainingError
from .output import print_error, print_message

COMMANDS = (
    *("check", "completion", "data", "deploy", "dockerfile", "download", "local", "models", "orphans", "plan", "run"),
    *("runs", "setup", "sweep"),
)
"""Each is a module of `commands` that defines a function, or a cyclopts App, of the same name."""

_PROGRAM = "vertex-training"

_SCRIPT_ARGS = "script_args"
"""The parameter of the commands that accept arguments for the training script."""


def command_line(words: Sequence[str] = ()) -> App:
    """The commands. A called command's module alone is imported; all of them are to list them with their help."""
    app = App(
        name=_PROGRAM,
        help="Takes training code from your machine to a finished Vertex AI job.",
        version=_version,
        version_flags=["--version"],
        default_parameter=Parameter(negative="", show_default=_shown_default),
        result_action="return_value",
    )
    for name in COMMANDS:
        app.command(f"{__package__}.commands.{name}:{name}", name=name)
    for name in () if words and words[0] in COMMANDS else COMMANDS:
        app[name]  # cyclopts imports it now, and lists it with the summary of its docstring
    return app


def main(argv: Sequence[str] | None = None) -> None:
    """The program's entry point; exits the process."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _run(words)
    except CycloptsError as error:
        print_message(f"error: {_explanation(error, words)}")
        code = 2
    except TrainingError as error:
        print_error(error)
        code = 2
    except KeyboardInterrupt:
        print_message("interrupted")
        code = 130
    sys.exit(code)


def _run(words: list[str]) -> int:
    words, script_args = _split(words)
    command, bound, _ = command_line(words).parse_args(words, print_error=False, exit_on_error=False)
    if script_args is not None:
        if _SCRIPT_ARGS not in bound.signature.parameters:
            raise TrainingError("this command takes no arguments for a script", where="--", next_step="Leave them out")
        bound.arguments[_SCRIPT_ARGS] = tuple(script_args)
    code = command(*bound.args, **bound.kwargs)
    return code if isinstance(code, int) else 0


def _explanation(error: CycloptsError, words: list[str]) -> str:
    """The error in one line; for what may belong to the training script, the command as it was probably meant."""
    text = " ".join(str(error).split()).rstrip(".")
    help_for = _PROGRAM
    if isinstance(error, UnknownOptionError | UnusedCliTokensError) and (meant := _with_script_args(words)):
        text = f"{text}{'' if text.endswith('?') else '.'} Put the script's arguments after --: {meant}"
        help_for = f"{_PROGRAM} {words[0]}"
    return f"{text}. For help: {help_for} --help"


def _with_script_args(words: list[str]) -> str:
    """The command with all words after `--` that are not its own; empty where it takes no arguments for a script."""
    own, script_args = _split(words)
    try:
        _, bound, unused, _ = command_line(own).parse_known_args(own)
    except CycloptsError:
        return ""
    if _SCRIPT_ARGS not in bound.signature.parameters or not bound.arguments or not unused:
        return ""
    rest = list(unused)
    kept = [word for word in own if not (rest and word == rest[0] and rest.pop(0))]
    return shlex.join([_PROGRAM, *kept, "--", *unused, *(script_args or ())])


def _split(words: list[str]) -> tuple[list[str], list[str] | None]:
    """The command's own words, and those after the first `--`; None without a `--`."""
    if "--" not in words:
        return words, None
    at = words.index("--")
    return words[:at], words[at + 1 :]


def _shown_default(value: object) -> str | None:
    """The default as an option's help shows it; None, which hides it, for flags and empty values."""
    return None if value is None or value is False or value in {"", ()} else str(value)


def _version() -> str:
    from ..core.version import __version__

    return __version__
