"""A second start in the local run: the script is stopped after its first checkpoint, and must continue from there.

That it continues is seen in two ways: it reads a file of the checkpoint folder, and where its output counts steps or
epochs, these don't begin where the first start began.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ....core.errors import VerifyError
from ...settings.settings import Settings

GRACE = 30.0
"""Seconds that a script has from SIGTERM to SIGKILL. Vertex AI names no time; a Spot machine of Compute Engine has up
to 30 seconds: https://cloud.google.com/compute/docs/instances/spot#preemption."""

_OLD = 86400.0
"""A time of access long ago: the system notes the next one."""
_COUNTED = re.compile(r"\b(global_step|step|iteration|iter|epoch|batch)\b\W{0,4}(\d+)", re.IGNORECASE)

Signature = tuple[int, int]


class CheckpointWatch:
    """Tells when the first checkpoint is there: when files have the same size and time twice in a row.

    Args:
        folder: The checkpoint folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen = False
        self._before: Mapping[str, Signature] = {}

    def __call__(self) -> bool:
        """Whether there is one; to be called again and again."""
        now = dict(_files(self.folder))
        self.seen = self.seen or any(self._before.get(path) == found and found[0] for path, found in now.items())
        self._before = now
        return self.seen

    def names(self) -> list[str]:
        """The files that are there, the newest first."""
        found = sorted(_files(self.folder), key=lambda item: (item[1][1], item[0]), reverse=True)
        return [path for path, _ in found]


class ReadCheck:
    """Whether files of a folder are read from now on.

    Args:
        folder: The folder.
        links: A new folder on the same disk for links to the files: a script may replace a file that it has read.
    """

    def __init__(self, folder: Path, links: Path) -> None:
        links.mkdir()
        self._folder = links
        for number, (path, (_, changed)) in enumerate(_files(folder)):
            link = links / str(number)
            os.link(folder / path, link)
            os.utime(link, ns=(int(_OLD * 1e9), changed))

    def is_possible(self) -> bool:
        """Whether the file system notes accesses."""
        probe = self._folder / "probe"
        probe.write_text("x")
        os.utime(probe, (_OLD, _OLD))
        probe.read_text()
        noted = probe.stat().st_atime > _OLD
        probe.unlink()
        return noted

    def was_read(self) -> bool:
        """Whether one of the files was."""
        return any(link.stat().st_atime > _OLD for link in self._folder.iterdir())


def no_checkpoint(settings: Settings, folder: str) -> VerifyError:
    """The script ended without any checkpoint."""
    return VerifyError(
        f"{settings.title} saved no checkpoint in AIP_CHECKPOINT_DIR ({folder}), so a second start begins anew",
        where=settings.root,
        next_step="Save checkpoints there; a larger workload for the local run can be set with verify-args",
    )


def check_continued(
    settings: Settings, first: Sequence[str], second: Sequence[str], *, read: bool | None, newest: str
) -> str:
    """Says how the second start went on.

    Args:
        settings: The project's settings.
        first: The lines of the first start.
        second: Those of the second one.
        read: Whether it read a checkpoint; None if this machine can't tell.
        newest: The newest checkpoint's file.

    Raises:
        VerifyError: It began anew.
    """
    again = _began_again(first, second)
    if read is False:
        raise VerifyError(
            f"{settings.title} doesn't continue: its second start read no checkpoint, though {newest} was there",
            where=settings.root,
            next_step="Load the newest file in AIP_CHECKPOINT_DIR when the script starts",
        )
    if again:
        raise VerifyError(
            f"{settings.title} doesn't continue: its second start began at {again} again, though {newest} was there",
            where=settings.root,
            next_step="Save the step with the model, and go on behind it",
        )
    went_on = _first_numbers(second)
    before = _first_numbers(first)
    shown = [f"{word} {number}" for word, number in went_on.items() if before.get(word, number) < number]
    return f"continued from {newest}" + (f" at {shown[0]}" if shown else "")


def _files(folder: Path) -> Iterator[tuple[str, Signature]]:
    """The files below a folder with size and time of the last change."""
    for path in folder.rglob("*"):
        try:
            status = path.stat()
        except OSError:  # it was renamed or removed meanwhile
            continue
        if path.is_file():
            yield path.relative_to(folder).as_posix(), (status.st_size, status.st_mtime_ns)


def _numbers(lines: Sequence[str]) -> Iterator[tuple[str, int]]:
    for line in lines:
        for word, number in _COUNTED.findall(line):
            yield word.lower(), int(number)


def _first_numbers(lines: Sequence[str]) -> dict[str, int]:
    """The first number of each word that counts."""
    found: dict[str, int] = {}
    for word, number in _numbers(lines):
        found.setdefault(word, number)
    return found


def _began_again(first: Sequence[str], second: Sequence[str]) -> str:
    """Where the second start began again, as "step 1"; empty if it went on, or if nothing is counted in both.

    A word whose number never changes is a setting, not a count.
    """
    counts = {
        word for word in dict(_numbers(first)) if len({n for w, n in _numbers([*first, *second]) if w == word}) > 1
    }
    before, after = _first_numbers(first), _first_numbers(second)
    compared = [word for word in before if word in counts and word in after]
    if not compared or any(after[word] > before[word] for word in compared):
        return ""
    return f"{compared[0]} {after[compared[0]]}"
