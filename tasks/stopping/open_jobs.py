"""Notes of the jobs of a run that may be alive, by which the hook after a cancelled run knows that none is left.

They lie on the machine that ran the flow, where the hook is called, too. Asking the service instead takes the hook
seconds, most of them for the import of Google's client.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from prefect.runtime import flow_run

from ...core.home import Home


class OpenJobs:
    """The notes of one run: a folder with a file for each job. A note that can't be written makes the hook look.

    Args:
        run: The flow run's id.
    """

    def __init__(self, run: str) -> None:
        self._folder = Home.default().cache / "open-jobs" / run

    @classmethod
    def of_this_run(cls) -> OpenJobs:
        """Those of the current flow run; outside of one they are never read."""
        return cls(str(flow_run.id or "no-run"))

    def add(self, name: str) -> None:
        """Before a job is created: `name` may be alive."""
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file(name).touch()

    def rename(self, old: str, new: str) -> None:
        """The job that was noted as `old` is called `new`."""
        with suppress(OSError):
            self._file(old).rename(self._file(new))

    def stopped(self, name: str) -> None:
        """The job has been asked to end."""
        self._file(name).unlink(missing_ok=True)

    def ended(self, name: str) -> None:
        """The job has ended by itself: without other jobs the run needs no notes."""
        self.stopped(name)
        with suppress(OSError):
            self._folder.rmdir()

    def names(self) -> list[str]:
        """What is noted: keys of requests whose create is under way, and ids of jobs."""
        with suppress(OSError):
            return sorted(note.name for note in self._folder.iterdir())
        return []

    def take_none_left(self) -> bool:
        """Whether all jobs of the run have been asked to end; if so, the notes are removed."""
        try:
            self._folder.rmdir()  # only an empty folder can be removed
        except OSError:
            return False
        return True

    def _file(self, name: str) -> Path:
        return self._folder / name.rpartition("/")[2]
