"""Runs the trials of a sweep, several at once, each as a flow run of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from ...core.errors import TrainingError, VertexError
from ...project.settings.sweep_settings import SweepSettings
from ...sweeps.stop_rules import refuse_failures, refuse_missing_metric, without_progress
from ...sweeps.study_search import Search
from ...sweeps.trial_records import SweepPlan, TrialEnd, TrialPlan, TrialRecord, best_of
from ...tasks.reporting.progress import followed
from ...tasks.reporting.step_log import off_terminal, step_log
from ...tasks.stopping import run_end
from ...tasks.stopping.stop_job import WINDOW
from ...vertex.job_types import JobRequest
from .child_run import run_child
from .record_store import SweepRecords
from .sweep_page import SweepPage
from .sweep_result import shown_values
from .trial_flow import trial
from .trial_host import HOST, TrialHost

if TYPE_CHECKING:
    from ...blocks.vertex_ai import VertexAI
    from ...vertex.client.connection import Connection

_LOOK_EVERY = 0.5
"""Seconds between looks for the end of the run."""

Describe = Callable[[int, Mapping[str, Any]], TrialPlan]
"""Makes a trial's plan from its number and its parameters."""

Bring = Callable[[TrialPlan, int], JobRequest]
"""Brings image and data to a place of a trial's fall-back list, by its index, and returns the request with them."""


class TrialLoop:
    """The trials of one sweep, as far as they are known, and those that run now.

    Attributes:
        records: All trials, in the order of their numbers.
        ended: Why no further trial is begun; empty while further ones are.

    Args:
        records: What is recorded already.
        plan: The sweep.
        settings: Its settings.
        store: Where it is recorded.
        search: Proposes trials; it knows the recorded ones.
        describe: Makes the plans of new trials.
        page: Shows the trials.
        bring: For trials with a fall-back list.
        vertex: Where the jobs run; None for this machine.
        connection: To there.
        retries: How often a person has retried the sweep.
    """

    def __init__(
        self,
        records: Sequence[TrialRecord],
        *,
        plan: SweepPlan,
        settings: SweepSettings,
        store: SweepRecords,
        search: Search,
        describe: Describe,
        page: SweepPage,
        bring: Bring,
        vertex: VertexAI | None,
        connection: Connection,
        retries: int,
    ) -> None:
        self.records = list(records)
        self.ended = ""
        self._plan = plan
        self._settings = settings
        self._store = store
        self._search = search
        self._describe = describe
        self._page = page
        self._bring = bring
        self._vertex = vertex
        self._connection = connection
        self._retries = retries
        self._left = iter([each for each in self.records if each.end is None])
        self._running: dict[Future[TrialEnd], TrialRecord] = {}
        self._unsettled: TrainingError | None = None
        self._end = threading.Event()
        self._log = step_log("sweep")

    def run(self) -> None:
        """Runs trials until there are enough, or one of the rules ends the sweep.

        When this raises, the jobs of the trials that ran have been asked to end.

        Raises:
            VertexError: Too many trials failed, or the metric never appears.
            TrainingError: A trial's job could not be followed to its end.
        """
        pool = ThreadPoolExecutor(self._settings.parallel, thread_name_prefix="trial")
        try:
            while self._fill(pool) or self._running:
                run_end.check()
                done, _ = wait(self._running, timeout=_LOOK_EVERY, return_when=FIRST_COMPLETED)
                for future in done:
                    self._take(future)
                self._page.show(self.records)
            if self._unsettled:
                raise self._unsettled
        except BaseException:
            self._stop_running()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            self._page.show(self.records, now=True)

    def _fill(self, pool: ThreadPoolExecutor) -> bool:
        """Begins trials while there is room; returns whether one was begun."""
        begun = False
        while len(self._running) < self._settings.parallel:
            record = self._next()
            if record is None:
                break
            self._begin(pool, record)
            begun = True
        return begun

    def _next(self) -> TrialRecord | None:
        if self._unsettled is not None:
            return None
        record = next(self._left, None)
        if record is not None:
            return record
        self.ended = self.ended or without_progress(self.records, self._settings)
        if not self.ended and len(self.records) >= self._settings.trials:
            self.ended = f"{self._settings.trials} trials"
        if self.ended:
            return None
        number = len(self.records)
        values = self._search.propose(number)
        if values is None:
            self.ended = f"every combination has been tried, with {number} trials"
            return None
        try:
            plan = self._describe(number, values)
        except VertexError as error:
            if error.kind != "cost_cap":
                raise
            self.ended = str(error)
            return None
        self._store.write_trial(plan)
        self.records.append(TrialRecord(plan))
        return self.records[-1]

    def _begin(self, pool: ThreadPoolExecutor, record: TrialRecord) -> None:
        host = TrialHost(
            self._connection,
            self._plan,
            record,
            self._retries,
            lambda step, value: self._search.report(record.number, step, value),
            (lambda entry: self._bring(record.plan, entry)) if record.plan.places else None,
        )
        context = copy_context()
        context.run(HOST.set, host)
        future = pool.submit(context.run, run_end.called_until, self._end, lambda: self._one(host))
        self._running[future] = record

    def _one(self, host: TrialHost) -> TrialEnd:
        """Runs one trial in this thread.

        Its end is the recorded one. Prefect's state doesn't always have it: where the answer to the last state was
        lost and asked for again, the server's copy of that state comes back, which is without the result.
        """
        number = host.record.number
        parameters = {"sweep": self._plan.id, "number": number, "vertex": self._vertex}
        with off_terminal(), followed(lambda _: None):
            state = run_child(trial, f"{self._plan.project} trial {number}", str(number), parameters)
        return host.end or state.result()  # which raises what ended it

    def _take(self, future: Future[TrialEnd]) -> None:
        """Takes a trial that has ended."""
        record = self._running.pop(future)
        try:
            end = future.result()
        except TrainingError as error:
            # Its job may go on: the sweep doesn't, and a retry finds it.
            self._unsettled = self._unsettled or error
            return
        record.end = end
        self._search.tell(end)
        self._say(record)
        if "max-cost is used up" in end.reason:  # no further trial could begin either
            self.ended = end.reason
            return
        refuse_missing_metric(self.records, self._plan)
        refuse_failures(self.records, self._settings)

    def _say(self, record: TrialRecord) -> None:
        end = record.end
        assert end is not None
        value = f"{self._plan.metric} {end.value:.6g}" if end.value is not None else end.state
        best = best_of(self.records, self._plan.goal)
        remark = "  the best so far" if best is record else f"  {end.state}: {end.reason}" if end.reason else ""
        words = f"trial {record.number}: {shown_values(record.plan.values)}  {value}  {end.seconds:.1f} s{remark}"
        (step_log("sweep", level=logging.WARNING) if end.state == "failed" else self._log)(words)

    def _stop_running(self) -> None:
        """Ends the trials that run, whose steps cancel their jobs, and says how many have confirmed it."""
        if not self._running:
            return
        self._end.set()
        self._log(f"ending {len(self._running)} running trials")
        done, left = wait(self._running, timeout=WINDOW)
        stopped = sum(_has_stopped(future) for future in done)
        words = f"{stopped} of {len(done) + len(left)} running trials have confirmed their end"
        step_log("sweep", level=logging.INFO if not left else logging.ERROR)(words)


def _has_stopped(future: Future[Any]) -> bool:
    error = None if future.cancelled() else future.exception()
    return error is None or isinstance(error, (run_end.RunEnded, TrainingError))


def restored(search: Search, records: Sequence[TrialRecord]) -> None:
    """Makes a search know the trials that are recorded; running ones after those that have ended."""
    for record in _ended_first(records):
        search.restore(record.number, record.plan.values, record.end)


def _ended_first(records: Sequence[TrialRecord]) -> Iterator[TrialRecord]:
    yield from (each for each in records if each.end is not None)
    yield from (each for each in records if each.end is None)
