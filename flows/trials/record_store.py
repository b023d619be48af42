"""Keeps a sweep's records in Prefect's result storage, where every worker finds them.

Each record is one document, written before the step that it speaks of: a worker that is killed loses no trial. A
document that was cut while it was written counts as missing, and is made again: a trial's plan is whole before its job
exists, and its end is read again from the job.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

from prefect.context import FlowRunContext
from prefect.results import get_default_result_storage
from prefect.serializers import Serializer

from ...core.errors import ProjectError, ResultError
from ...core.retry import backoff
from ...prefect_private import call_synchronously
from ...sweeps.trial_records import SweepPlan, TrialEnd, TrialPlan, TrialRecord
from ...tasks.step_results import step_result
from ...tasks.stopping import run_end

T = TypeVar("T")

PLAN = step_result("sweeps.trial_records.SweepPlan")
TRIAL = step_result("sweeps.trial_records.TrialPlan")
END = step_result("sweeps.trial_records.TrialEnd")
LAST = step_result("str")

_TOGETHER = 16
"""Documents that are read at once."""

_TRIES = 4

_MISSING = {"NotFound", "NoSuchKey", "ResourceNotFoundError", "BlobNotFound", "FileNotFoundError"}
"""Names of exceptions of storage clients that say that there is no such object."""


class SweepRecords:
    """The records of one sweep.

    Args:
        sweep: The sweep's id.
        storage: A filesystem of Prefect. Default: the result storage of the current flow run.
    """

    def __init__(self, sweep: str, storage: Any = None) -> None:  # noqa: ANN401 - any filesystem of Prefect
        self.sweep = sweep
        self._storage = storage or _result_storage()

    def plan(self) -> SweepPlan | None:
        """The sweep's own record; None where there is none."""
        return self._read("plan", PLAN)

    def write_plan(self, plan: SweepPlan) -> None:
        """Records the sweep."""
        self._write("plan", plan, PLAN)

    def trial(self, number: int) -> TrialRecord | None:
        """One trial; None where it isn't recorded."""
        plan: TrialPlan | None = self._read(f"trial-{number:04}-plan", TRIAL)
        if plan is None:
            return None
        end: TrialEnd | None = self._read(f"trial-{number:04}-end", END)
        return TrialRecord(plan, end if end is not None and end.key == plan.key else None)

    def write_trial(self, plan: TrialPlan) -> None:
        """Records a trial, before its job."""
        self._write(f"trial-{plan.number:04}-plan", plan, TRIAL)

    def write_end(self, end: TrialEnd) -> None:
        """Records how a trial ended."""
        self._write(f"trial-{end.number:04}-end", end, END)

    def trials(self) -> list[TrialRecord]:
        """All trials that are recorded, in the order of their numbers, which have no gap."""
        found: list[TrialRecord] = []
        with ThreadPoolExecutor(_TOGETHER) as pool:
            while True:
                numbers = range(len(found), len(found) + _TOGETHER)
                read = [pool.submit(copy_context().run, self.trial, number) for number in numbers]
                for future in read:
                    record = future.result()
                    if record is None:
                        return found
                    found.append(record)

    def remember_as_last(self, project: str) -> None:
        """Records that this is the newest sweep of a project."""
        self._put(_last(project), LAST.dumps(self.sweep))

    def _read(self, name: str, kind: Serializer) -> Any:  # noqa: ANN401 - what the serializer holds
        data = _get(self._storage, f"sweeps/{self.sweep}/{name}.json")
        if data is None:
            return None
        try:
            return kind.loads(data)
        except ResultError:
            return None

    def _write(self, name: str, record: object, kind: Serializer) -> None:
        self._put(f"sweeps/{self.sweep}/{name}.json", kind.dumps(record))

    def _put(self, path: str, data: bytes) -> None:
        _patiently(lambda: call_synchronously(self._storage.write_path, path, data))


def last_sweep(project: str) -> str:
    """The id of the newest sweep of a project.

    Raises:
        ProjectError: It has none in this result storage.
    """
    data = _get(_result_storage(), _last(project))
    try:
        found = LAST.loads(data) if data else ""
    except ResultError:
        found = ""
    if not found:
        raise ProjectError(
            f"there is no sweep of {project} to go on with",
            where="Prefect's result storage",
            next_step="Begin one, or run this where its records are",
        )
    return str(found)


def _last(project: str) -> str:
    return f"sweeps/last-{project}.json"


def _result_storage() -> Any:  # noqa: ANN401 - any filesystem of Prefect
    context = FlowRunContext.get()
    found = context.result_store.result_storage if context else None
    return found or call_synchronously(get_default_result_storage)


def _get(storage: Any, path: str) -> bytes | None:  # noqa: ANN401 - any filesystem of Prefect
    def read() -> bytes | None:
        try:
            return bytes(call_synchronously(storage.read_path, path))
        except Exception as error:
            if isinstance(error, (ValueError, OSError)) or _says_missing(error):
                return None
            raise

    return _patiently(read)


def _says_missing(error: BaseException) -> bool:
    seen: Sequence[BaseException] = [each for each in (error, error.__cause__, error.__context__) if each]
    return any(type(each).__name__ in _MISSING or "NoSuchKey" in str(each) or "404" in str(each)[:40] for each in seen)


def _patiently(action: Callable[[], T]) -> T:
    """Repeats an access to the storage that failed, a few times."""
    waits = backoff(base=0.5, limit=5.0)
    for attempt in range(_TRIES):
        try:
            return action()
        except Exception:
            if attempt + 1 == _TRIES:
                raise
            run_end.sleep(next(waits))
    raise AssertionError("the last try returns or raises")
