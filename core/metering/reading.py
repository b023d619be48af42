"""What a display shows of long work, as text for people: bytes, rate, time left."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Reading(NamedTuple):
    """One line of a display.

    Attributes:
        what: What is done, as "downloading".
        part: How much of it is done, from 0 to 1; None when nobody knows.
        amount: As "120.3/201.0 MB".
        speed: As "12.3 MB/s"; empty when unknown.
        left: Estimated seconds to its end; None when unknown.
    """

    what: str
    part: float | None = None
    amount: str = ""
    speed: str = ""
    left: float | None = None

    @property
    def remaining(self) -> str:
        """The estimated time as text, as "0:07 left"; empty when unknown."""
        return "" if self.left is None else f"{duration(self.left)} left"

    def __str__(self) -> str:
        figures = ", ".join(filter(None, [self.amount, self.speed, self.remaining]))
        return f"{self.what} {figures}".strip()


class View(NamedTuple):
    """What a step does at a moment.

    Attributes:
        step: The step's name; empty when none runs.
        seconds: For how long it has run.
        readings: Its lines, at least one for a step that runs.
    """

    step: str
    seconds: float
    readings: tuple[Reading, ...]


class Source(Protocol):
    """What a display shows."""

    def view(self) -> View:
        """What is going on now."""
        ...


def amount(done: int, total: int | None = None) -> str:
    """Bytes for people, as "120.3 MB"; with a total "12.0/201.0 MB", or "900.0 kB/201.0 MB"."""
    if total is None:
        return " ".join(_scaled(done))
    (number, unit), (whole, whole_unit) = _scaled(done), _scaled(total)
    return f"{number}/{whole} {unit}" if unit == whole_unit else f"{number} {unit}/{whole} {whole_unit}"


def file_count(count: int) -> str:
    """As "1 file" or "1,200 files"."""
    return "1 file" if count == 1 else f"{count:,} files"


def _scaled(size: int) -> tuple[str, str]:
    from rich.filesize import pick_unit_and_suffix

    unit, suffix = pick_unit_and_suffix(size, ["bytes", "kB", "MB", "GB", "TB", "PB"], 1000)
    return f"{size / unit:.{0 if unit == 1 else 1}f}", suffix


def duration(seconds: float) -> str:
    """A time for people, as "0:07" or "1:02:33"."""
    whole = max(int(seconds + 0.5), 0)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
