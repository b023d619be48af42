"""Runs the tuning jobs of a store, each trial as a custom job; what they are is in the store at every moment.

One thread looks at all live tuning jobs in turn. A service that was killed goes on where it was: a trial is stored
before its custom job is made, and the job is found by its name.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ...core.errors import LocalServiceError
from ..api.collections.tuning_jobs import KIND
from ..api.jobs import JobsApi
from ..api.schema import Schema
from ..location import Location, Locations
from ..store.records import TERMINAL, ResourceRecord
from ..store.store import Store

if TYPE_CHECKING:
    from .study import Study

_LOOK_SECONDS = 0.1

ReadFile = Callable[[str], str]
"""The text of a file in a bucket, by its gs:// URI; empty where there is none."""


class StoredTuner:
    """Runs the tuning jobs of a store.

    Args:
        store: The tuning jobs, and the custom jobs of their trials.
        jobs: Makes and cancels custom jobs.
        schema: The message classes.
        locations: The projects and regions that are served.
        read_file: Reads the files in which trials report.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        *,
        store: Store,
        jobs: JobsApi,
        schema: Schema,
        locations: Locations,
        read_file: ReadFile,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._schema = schema
        self._locations = locations
        self._read_file = read_file
        self._clock = clock
        self._studies: dict[tuple[str, str, str], Study] = {}
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def require_search(self) -> None:
        """Refuses tuning jobs where nothing can propose trials.

        Raises:
            LocalServiceError: Optuna is not installed.
        """
        if find_spec("optuna") is None:
            raise LocalServiceError(
                "local_vertex needs Optuna for tuning jobs, which is not installed",
                next_step="pip install 'prefect-vertex-training[sweep]', then vertex-training local stop",
            )

    def start(self) -> None:
        """Goes on with the tuning jobs that have not ended."""
        marks = ",".join("?" * len(TERMINAL))
        live = self._store.resources.find(KIND, f"state NOT IN ({marks})", TERMINAL, limit=1000)
        for _, record in reversed(live):
            number = self._locations.projects.get(record.project, "")
            self.submit(Location(record.project, number, record.region), record.id)

    def submit(self, location: Location, id_: str) -> None:
        """Runs a tuning job of the store."""
        from .study import Study  # late: most services never tune, and start faster

        with self._lock:
            self._studies[location.project_id, location.region, id_] = Study(
                location,
                id_,
                jobs=self._jobs,
                store=self._store,
                schema=self._schema,
                read_file=self._read_file,
                clock=self._clock,
            )
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tuning", daemon=True)
                self._thread.start()
        self._changed.set()

    def cancel(self, record: ResourceRecord) -> bool:
        """Ends a tuning job and its trials; False if it has ended."""
        with self._lock:
            current = self._store.resources.get(KIND, record.project, record.region, record.id)
            if current is None or current.state in TERMINAL:
                return False
            current.state, current.update_time = "JOB_STATE_CANCELLING", self._clock()
            self._store.resources.save(current)
        self._changed.set()
        return True

    def stop(self) -> None:
        """Stops; the trials' jobs go on."""
        self._stopped = True
        self._changed.set()
        if self._thread is not None:
            self._thread.join(2.0)

    def _run(self) -> None:
        while not self._stopped:
            self._changed.wait(_LOOK_SECONDS if self._studies else None)
            self._changed.clear()
            for key, study in list(self._studies.items()):
                if self._stopped:
                    return
                if self._step(study):
                    del self._studies[key]

    def _step(self, study: Study) -> bool:
        """Looks at one tuning job; returns whether it has ended."""
        with self._lock:
            try:
                return study.step()
            except Exception as error:  # noqa: BLE001 - a fault of this program ends the tuning job, not the others
                traceback.print_exception(error)
                study.fail("Internal error encountered.")
                return True
