"""`vertex-training completion`: lets a shell complete commands and options with Tab."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from ...core.errors import TrainingError


def completion(
    shell: Annotated[
        Literal["bash", "zsh", "fish"] | None, Parameter(help="The shell. Default: the one that runs this command.")
    ] = None,
    /,
    *,
    install: Annotated[
        bool, Parameter(help="Write the script where the shell looks for it, and load it in the shell's start file.")
    ] = False,
) -> None:
    """Print the script that lets SHELL complete commands and options with Tab, or install it."""
    from cyclopts.completion.detect import ShellDetectionError

    from ..main import command_line

    app = command_line()
    try:
        if install:
            print(f"installed {app.install_completion(shell=shell)}; it works in shells that you start from now on")
        else:
            print(app.generate_completion(shell=shell))
    except ShellDetectionError as error:
        raise TrainingError(
            "can't tell which shell this is",
            where="completion",
            next_step="Name it: vertex-training completion bash, zsh or fish",
        ) from error
