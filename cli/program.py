"""The program `vertex-training`: `main`, and an end without the interpreter's long good-bye.

Importing Prefect and Google's clients makes a million objects, and freeing them one by one takes a second, for nothing.
"""

import atexit
import os
import sys
from collections.abc import Sequence


def program() -> None:
    """Runs the command line, and ends this process when everything that waits for its end has run."""
    code = end_without_good_bye()
    from .preloaded.handover import hand_over

    words = sys.argv[1:]
    ended = hand_over(words)
    if ended is not None:
        code[0] = ended
        return
    try:
        run_program(words, code)
    finally:
        if "prefect.main" in sys.modules:
            from .preloaded.preload_lifecycle import preload_for_next

            preload_for_next(words)


def end_without_good_bye() -> list[int]:
    """Has the process end with the code in the list that is returned, once all other callbacks of its end have run.

    The first callback to be registered is the last to be called: after Prefect has sent its last log lines, and after
    threads have been waited for. Before it nothing may be imported that registers one.
    """
    code = [1]
    atexit.register(_leave, code)
    return code


def run_program(words: Sequence[str], code: list[int]) -> None:
    """Runs the command line in this process.

    Args:
        words: The program's arguments.
        code: Gets the exit code.
    """
    from .light_imports import lighten_imports
    from .main import main

    lighten_imports()
    try:
        main(words)
    except SystemExit as end:
        code[0] = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise
    except BrokenPipeError:  # as of `| head`, which has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _leave(code: list[int]) -> None:
    """Ends the process with the code in the list, once everything printed is out."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # whoever read it has gone
            code[0] = code[0] or 1
    os._exit(code[0])
