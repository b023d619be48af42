"""The artifact of a sweep, which grows with its trials: the best one, pictures, and a table of all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate

from ...sweeps.trial_records import SweepPlan, TrialRecord, best_of
from ...tasks.reporting.artifacts import artifact_key, optional_display
from ...tasks.reporting.links import run_page
from ...tasks.reporting.markdown import copyable, link, plain, table
from .sweep_charts import Dot, as_image
from .sweep_result import shown_values

EVERY = 5.0
"""Seconds between two updates."""

TRIAL_FLOW = "prefect_vertex_training.flows.trials.trial_flow:trial"
"""The flow of a trial, as Prefect's commands name it: its runs have no deployment that says so."""

SHOWN = 500
"""Trials in the table: the newest ones, since pages and answers of Prefect's server have a largest size."""


class SweepPage:
    """The artifact `PROJECT-sweep` of one flow run.

    Args:
        plan: The sweep.
        usd_per_hour: Price of a trial's machines; None where it is not known.
        logarithmic: Parameters that are searched by order of magnitude.
        console: The page of a job in a browser, by its name; empty for none.
        clock: A monotonic clock, seconds.
    """

    def __init__(
        self,
        plan: SweepPlan,
        usd_per_hour: float | None,
        logarithmic: frozenset[str],
        console: Callable[[str], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan = plan
        self._price = usd_per_hour
        self._logarithmic = logarithmic
        self._console = console
        self._clock = clock
        self._due = float("-inf")
        self._shown: tuple[int, int, int] | None = None
        self._artifact: UUID | None = None
        self._lock = threading.Lock()

    def show(self, records: Sequence[TrialRecord], *, now: bool = False) -> None:
        """Writes the artifact, unless it was written a moment ago, or nothing has changed.

        Args:
            records: The trials so far.
            now: Write it in any case.
        """
        with self._lock:
            begin = self._clock()
            if not now and begin < self._due:
                return
            begun = sum(bool(each.run) for each in records)
            state = len(records), begun, sum(each.end is not None for each in records)
            if not now and state == self._shown:
                return
            with optional_display():
                self._write(self.markdown(records))
                self._shown = state
            end = self._clock()
            # A page of many trials is long: it takes a twentieth of the time at most.
            self._due = end + max(EVERY, 20 * (end - begin))

    def _write(self, text: str) -> None:
        if self._artifact is None:
            made = create_markdown_artifact(text, key=artifact_key("sweep"), description="The trials of the sweep")
            self._artifact = made if isinstance(made, UUID) else None
        else:
            with get_client(sync_client=True) as client:
                client.update_artifact(self._artifact, ArtifactUpdate(data=text))

    def markdown(self, records: Sequence[TrialRecord]) -> str:
        """The artifact's Markdown."""
        return "\n\n".join(self._parts(records)) + "\n"

    def _parts(self, records: Sequence[TrialRecord]) -> Iterator[str]:
        plan = self._plan
        ended = [each for each in records if each.end]
        yield f"# {plain(plan.project)}: {plain(plan.metric)}, {'largest' if plan.goal == 'max' else 'smallest'} first"
        states = [each.end.state for each in ended if each.end]
        counts = [f"{states.count(state)} {state}" for state in ("completed", "pruned", "failed") if state in states]
        running = len(records) - len(ended)
        yield ", ".join([f"{len(records)} trials", *counts, *([f"{running} running"] if running else [])])
        best = best_of(records, plan.goal)
        if best and best.end:
            value = f"{best.end.value:.6g}" if best.end.value is not None else ""
            yield f"Best: trial {best.number} with {plain(value)}: {copyable(shown_values(best.plan.values))}"
            yield f"Model: {copyable(best.end.model)}"
        yield from self._picture(ended)
        yield self._table(records)
        if failed := [each.end.run for each in ended if each.end and each.end.state == "failed" and each.end.run]:
            words = f"prefect flow-run retry {failed[-1]} --entrypoint {TRIAL_FLOW}"
            yield f"One trial again, then the sweep with --continue: {copyable(words)}"
        yield f"Image: {copyable(plan.image)}"
        yield f"More trials: {copyable(f'vertex-training sweep PROJECT --add 20 --continue {plan.id}')}"

    def _picture(self, ended: Sequence[TrialRecord]) -> Iterator[str]:
        dots = [
            Dot(each.number, each.end.state, each.end.value, each.plan.values)
            for each in ended
            if each.end and each.end.value is not None and each.end.state != "failed"
        ]
        if dots:
            words = plain(f"{self._plan.metric} over the trials and the parameters")
            yield f"![{words}]({as_image(dots, self._plan.metric, self._plan.goal, self._logarithmic)})"

    def _table(self, records: Sequence[TrialRecord]) -> str:
        rows = [self._row(each) for each in records[-SHOWN:]]
        head = ["trial", "parameters", self._plan.metric, "state", "seconds", "cost, USD", "run", "job"]
        return table(head, rows, numbers={0, 2, 4, 5})

    def _row(self, each: TrialRecord) -> list[object]:
        end = each.end
        run = (end.run if end else "") or each.run
        page, console = run_page(run) if run else "", self._console(end.job) if end and end.job else ""
        value = f"{end.value:.6g}" if end and end.value is not None else ""
        reason = f": {end.reason[:120]}" if end and end.reason else ""
        cost = f"{self._price * end.seconds / 3600:.2f}" if end and self._price is not None else ""
        return [
            each.number,
            shown_values(each.plan.values),
            value,
            f"{end.state if end else 'running' if run else 'waiting'}{reason}",
            f"{end.seconds:,.1f}" if end else "",
            cost,
            link("open", page) if page else "",
            link("open", console) if console else "",
        ]
