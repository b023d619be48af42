"""Finds out that the processes of a script start it again: it spawns them outside of `if __name__ == "__main__"`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ....core.errors import VerifyError
from ...settings.settings import Settings

_NO_GUARD = re.compile(
    r"An attempt has been made to start a new process before|^RuntimeError: context has already been set"
)
"""What Python says in a process that multiprocessing spawned, whose import of the script would spawn processes anew."""
_MOST = 3


def starts_itself(lines: Iterable[str]) -> bool:
    """Whether a script's output says that its processes run it from its beginning."""
    return any(_NO_GUARD.search(line) for line in lines)


def started_itself(settings: Settings) -> VerifyError:
    """The error for such a script."""
    return VerifyError(
        f"{settings.title} starts processes that start it again",
        where=settings.root,
        next_step='Put what the script does below if __name__ == "__main__": its processes import it',
    )


class SelfStarts:
    """Ends a local run whose processes start the script again and again: a pool replaces them without an end.

    Args:
        settings: The project's settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings, self._count = settings, 0

    def read(self, line: str) -> None:
        """Reads a line of output.

        Raises:
            VerifyError: It happened too often to be an accident.
        """
        self._count += starts_itself([line])
        if self._count > _MOST:
            raise started_itself(self._settings)
