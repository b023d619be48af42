"""Tables of runs and models at 80 columns, and whole where nobody looks."""

from __future__ import annotations

import re
import sys
import time

import pytest
from fixtures.suite.terminal import opened_terminal
from prefect_vertex_training.cli.past_runs.known_runs_table import metrics_text, print_models, print_runs, short_ids
from prefect_vertex_training.flows.history.known_run import KnownRun


def known(run: str, **fields: object) -> KnownRun:
    """A run."""
    return KnownRun(**{"run": run, "project": "digits", "name": "n", "state": "Completed", "started": time.time(),
                       "seconds": 65.0, "place": "this machine", **fields})  # fmt: skip  # pyright: ignore[reportArgumentType]


FULL = known(
    "0686ab12-1111-7000-8000-000000000000",
    model="gs://a-bucket-with-a-long-name/digits/0686ab12-1111-7000-8000-000000000000/model",
    size=12_300_000,
    files=3,
    metrics={name: {"last": 0.123456, "lowest": 0.0, "highest": 1.0} for name in ("accuracy", "loss", "val_loss")},
)


def test_a_pipe_gets_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each run, whatever is in it."""
    print_runs([FULL, known("0700", state="Failed", problem="the receipt is damaged")])
    lines = capsys.readouterr().out.splitlines()

    assert len(lines) == 3
    assert lines[1].split()[:3] == ["0686ab12", "digits", "Completed"]
    assert "1:05" in lines[1]
    assert "12.3 MB" in lines[1]
    assert lines[1].rstrip().endswith("accuracy 0.1235, loss 0.1235, val_loss 0.1235")
    assert lines[2].rstrip().endswith("the receipt is damaged")


def test_a_terminal_of_80_columns_cuts_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics are folded into their column; the model's place has a line of its own."""
    with opened_terminal(80, monkeypatch) as terminal:
        monkeypatch.setattr(sys, "stdout", terminal.stream)
        print_runs([FULL])
        print_models([FULL])
        terminal.stream.flush()
        terminal.wait(lambda lines: any(line.endswith("/model") for line in lines))
        text = terminal.raw.decode().replace("\r\n", "\n")

    lines = [re.sub(r"\x1b\[[\d;]*m", "", line).rstrip() for line in text.splitlines()]
    assert max(map(len, lines[:-1])) <= 80
    assert lines[-1] == f"0686ab12  {FULL.model}"
    assert "val_loss" in "".join(line.strip() for line in lines)
    assert lines[0].split() == ["run", "project", "state", "started", "took", "cost", "model", "metrics"]


def test_ids_are_as_long_as_needed() -> None:
    """Runs of one minute begin alike."""
    ids = ["0686ab12-1111-7000-8000-000000000000", "0686ab12-1111-7000-8000-000000000001", "0700ab12-0000"]

    assert short_ids([known(ids[0]), known(ids[2])]) == ["0686ab12", "0700ab12"]
    assert short_ids([known(ids[0]), known(ids[1])]) == ids[:2]
    assert short_ids([]) == []


def test_metrics_without_a_last_value_are_left_out() -> None:
    """A receipt is anybody's file."""
    assert metrics_text({"a": {}, "b": {"last": 2.0}}) == "b 2"
