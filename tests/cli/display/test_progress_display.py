"""What a person sees of long work: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from fixtures.suite.terminal import Terminal, opened_terminal
from prefect_vertex_training.cli.display.lines import LINES
from prefect_vertex_training.cli.display.progress_display import ProgressDisplay
from prefect_vertex_training.core.metering.reading import Reading, View

DOWNLOAD = Reading("downloading", 0.6, "120.3/201.0 MB", "12.3 MB/s", 7.0)
UPLOAD = Reading("uploading", 0.01, "20.0 MB/8.0 GB", "980.0 kB/s", 8143.0)
LAYERS = Reading("making layers", None, "17.0 MB", "80.0 MB/s", None)
WAITING = Reading("waiting for a machine", None, "1:05 of at most 30:00", "", None)


@dataclass
class Shown:
    """A source whose view the test sets."""

    current: View = View("", 0.0, ())  # noqa: RUF009 - it never changes

    def view(self) -> View:
        """The current view."""
        return self.current


@pytest.fixture(params=[80, 60, 200])
def columns(request: pytest.FixtureRequest) -> int:
    """Widths of terminals."""
    return request.param


@pytest.fixture
def terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """A terminal of that width."""
    with opened_terminal(columns, monkeypatch) as terminal:
        yield terminal


def test_bars_stay_below_the_steps_lines_and_vanish(
    terminal: Terminal, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each kind of work has one line with bytes, rate and time left; nothing wraps, and nothing is left at the end."""
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    shown = Shown(View("build", 30.0, (DOWNLOAD, UPLOAD, LAYERS)))
    with ProgressDisplay(shown, stream=terminal.stream):
        terminal.wait(lambda lines: len(lines) == 3)
        LINES.write("build    built numpy\n")
        lines = terminal.wait(lambda lines: len(lines) == 4)
        LINES.write("build    built scipy\n")
        terminal.wait(lambda lines: len(lines) == 5)

        assert lines[0] == "build    built numpy"
        assert lines[1].startswith("build")
        assert all("build" not in line for line in lines[2:])
        figures = ["120.3/201.0 MB 12.3 MB/s 0:07 left", "20.0 MB/8.0 GB 980.0 kB/s 2:15:43 left", "17.0 MB 80.0 MB/s"]
        for line, expected in zip(lines[1:], figures, strict=True):
            assert expected in " ".join(line.split())
        assert any("━" in line for line in lines) == (columns >= 80)

    assert terminal.wait(lambda lines: len(lines) == 2) == ["build    built numpy", "build    built scipy"]
    assert not terminal.screen.cursor.hidden


@pytest.mark.parametrize("columns", [80], indirect=True)
def test_a_short_step_shows_nothing(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cached run's terminal holds its lines alone."""
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    shown = Shown(View("build", 0.2, (DOWNLOAD,)))
    with ProgressDisplay(shown, stream=terminal.stream):
        LINES.write("build    unchanged\n")
        terminal.wait(lambda lines: len(lines) == 1)
        shown.current = View("watch", 65.0, (WAITING,))
        lines = terminal.wait(lambda lines: len(lines) == 2)
        assert lines[1].split() == ["watch", *["waiting", "for", "a", "machine", "1:05", "of", "at", "most", "30:00"]]
        shown.current = View("receipt", 0.0, (WAITING,))
        terminal.wait(lambda lines: len(lines) == 1)

    assert terminal.raw.count(b"unchanged") == 1


@pytest.mark.parametrize("columns", [80], indirect=True)
def test_a_talkative_training_is_not_drawn_for_each_line(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand lines arrive whole and in order, and the bars were drawn a few times only."""
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    shown = Shown(View("watch", 65.0, (WAITING,)))
    begin = time.monotonic()
    with ProgressDisplay(shown, stream=terminal.stream):
        for number in range(10_000):
            LINES.write(f"watch    line {number}\n")
        drawn_for = time.monotonic() - begin
        terminal.wait(lambda lines: lines[-1].startswith("watch    waiting"))

    terminal.wait(lambda lines: lines[-1] == "watch    line 9999")
    assert [f"line {number}\r".encode() in terminal.raw for number in (0, 5_000, 9_999)] == [True, True, True]
    assert terminal.raw.count(b"waiting for a machine") <= 4 * (drawn_for / 0.25 + 3)


@pytest.mark.parametrize("term", ["dumb", ""])
@pytest.mark.parametrize("columns", [80], indirect=True)
def test_a_terminal_that_can_not_draw_gets_lines(
    terminal: Terminal, term: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an editor's."""
    monkeypatch.setenv("TERM", term)
    with ProgressDisplay(Shown(View("build", 30.0, (DOWNLOAD,))), stream=terminal.stream):
        lines = terminal.wait(lambda lines: len(lines) == 1)

    assert lines == ["build    downloading 120.3/201.0 MB, 12.3 MB/s, 0:07 left"]
    assert b"\x1b" not in terminal.raw


def test_without_a_terminal_lines_come_seldom() -> None:
    """The first after five seconds of a step, then each after twice the time; no control characters."""
    stream = io.StringIO()
    now = [0.0]
    shown = ProgressDisplay(stream=stream, clock=lambda: now[0])._shown
    for second in range(1, 131):
        now[0] = float(second)
        shown.show(View("build", float(second), (DOWNLOAD, LAYERS)))
    lines = stream.getvalue().splitlines()

    assert lines[:2] == [
        "build    downloading 120.3/201.0 MB, 12.3 MB/s, 0:07 left",
        "build    making layers 17.0 MB, 80.0 MB/s",
    ]
    assert len(lines) == 2 * 5  # after 5, 10, 20, 40 and 80 seconds
    shown.show(View("push", 0.0, (DOWNLOAD,)))
    assert len(stream.getvalue().splitlines()) == len(lines)
    assert "\x1b" not in stream.getvalue()
