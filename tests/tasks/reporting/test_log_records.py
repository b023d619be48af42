"""A job's lines in the run's log: few records, each line once and in order, and none left out without being counted."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.tasks.reporting.log_records import BURST, RECORD, TELL_EVERY, LogRecords
from prefect_vertex_training.tasks.reporting.logged_lines import Logged
from prefect_vertex_training.tasks.reporting.training_log import TrainingLog
from prefect_vertex_training.vertex.job_types import LogLine


class Written:
    """What was written, and a clock that the test moves."""

    def __init__(self) -> None:
        self.records: list[str] = []
        self.told: list[str] = []
        self.now = 0.0
        self.out = LogRecords(self.records.append, self.told.append, "the place", clock=lambda: self.now)

    @property
    def lines(self) -> list[str]:
        """All lines, in order."""
        return [line for record in self.records for line in record.split("\n")]

    @property
    def left_out(self) -> int:
        """How many lines were counted instead."""
        return sum(int(message.split()[0].replace(",", "")) for message in self.told)


def follow(written: Written, messages: list[str], logged: Logged | None = None, size: int = 700) -> None:
    """A watch that reads these messages, so many at once."""
    log = TrainingLog(written.out, logged)
    for first in range(0, len(messages), size):
        log.lines([LogLine(0.0, "INFO", message, "workerpool0-0") for message in messages[first : first + size]])


def test_the_lines_of_a_read_are_one_record() -> None:
    """A hundred thousand lines are a few hundred records, of a size that every server takes."""
    written = Written()
    follow(written, [f"line {number}" for number in range(100_000)])

    assert written.lines == [f"line {number}" for number in range(100_000)]
    assert len(written.records) < 300
    assert max(map(len, written.records)) <= RECORD


def test_too_many_lines_are_counted() -> None:
    """What is written and what is said to be left out are all; with time, lines are written again."""
    written, line = Written(), "x" * 998
    messages = [f"{line}{number:06}" for number in range(BURST // 1_000 + 5_000)]
    follow(written, messages)
    written.now += TELL_EVERY
    written.out.write(["one more"])
    written.now += 1
    written.out.write(["again"])

    assert written.lines[-1] == "again"
    assert len(written.lines) + written.left_out == len(messages) + 2
    assert written.lines[:-1] == messages[: len(written.lines) - 1]
    assert len(written.told) == 1
    assert "they are in the job's log: the place" in written.told[0]


@given(
    st.lists(st.sampled_from(["same", "other", "two\nlines", "", "third"]), max_size=40),
    st.integers(0, 60),
    st.integers(1, 7),
)
def test_a_retry_repeats_no_line(messages: list[str], sent: int, size: int) -> None:
    """Wherever the first attempt was killed, both together have each line as often as the job wrote it, in order."""
    wanted = [line for message in messages for line in message.split("\n")]
    first, second = wanted[:sent], Written()
    follow(second, messages, Logged(list(first)), size)

    assert first + second.lines == wanted


def test_a_retry_does_not_repeat_what_was_left_out() -> None:
    """Lines that the first attempt counted stay counted; those after its last line are new."""
    messages = [f"line {number}" for number in range(100)]
    written = Written()
    follow(written, messages, Logged([*messages[:20], *messages[50:60]], left_out=30))

    assert written.lines == messages[60:]


def test_a_line_that_prefect_would_cut_becomes_several() -> None:
    """Nothing of it is lost, and a retry finds the parts."""
    written, line = Written(), "".join(chr(97 + number % 26) for number in range(3_000_000))
    follow(written, [line])
    again = Written()
    follow(again, [line], Logged(written.lines))

    assert "".join(written.lines) == line
    assert len(written.records) > 1
    assert again.records == []
    assert not re.search("truncated", written.records[-1])
