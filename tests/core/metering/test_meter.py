"""Meters: what engines count, and what a display reads from it."""

from __future__ import annotations

import io
import threading
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.core.metering.meter import Item, Meter, Meters, StepSource
from prefect_vertex_training.core.metering.reading import Reading, amount, duration


class Clock:
    """A clock that the test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def reading(meter: Meter) -> Reading:
    """The meter's reading, which there must be."""
    found = meter.reading()
    assert found is not None
    return found


def test_bytes_rate_and_time_left() -> None:
    """A download of 100 MB at 10 MB/s says all three, as text that people read."""
    clock = Clock()
    meter = Meter("downloading", clock)
    item = meter.item(100_000_000)
    for _ in range(4):
        clock.now += 1
        item.add(10_000_000)

    found = reading(meter)

    assert found.part == pytest.approx(0.4)
    assert (found.amount, found.remaining) == ("40.0/100.0 MB", "0:05 left")
    assert found.speed == "13.3 MB/s"  # 40 MB in the three seconds since the first of them
    assert str(found) == "downloading 40.0/100.0 MB, 13.3 MB/s, 0:05 left"


def test_the_rate_is_that_of_the_last_seconds() -> None:
    """A download that became slow says so after a while, and one that stands still gives no time left."""
    clock = Clock()
    meter = Meter("downloading", clock)
    item = meter.item(10**9)
    for rate in [50_000_000] * 5 + [1_000_000] * 40:
        clock.now += 1
        item.add(rate)
        meter.reading()
    assert reading(meter).speed == "1.0 MB/s"

    for _ in range(40):
        clock.now += 1
        meter.reading()
    assert (reading(meter).speed, reading(meter).left) == ("", None)


def test_nothing_is_shown_before_the_begin_and_after_the_end() -> None:
    """Work that is announced but was found to be done already never appears."""
    meters = Meters()
    item = meters["uploading"].item(50)
    assert meters.readings() == ()

    item.add(20)
    assert [found.what for found in meters.readings()] == ["uploading"]

    item.close()
    assert meters.readings() == ()


def test_an_unknown_size_shows_bytes_and_rate_alone() -> None:
    """As a wheel of a lock without sizes."""
    clock = Clock()
    meter = Meter("downloading", clock)
    meter.item(None).add(1)
    clock.now = 2.0
    meter.item(None).add(3_000_000)

    found = reading(meter)

    assert (found.part, found.left) == (None, None)
    assert str(found) == "downloading 3.0 MB, 1.5 MB/s"


def test_a_stream_that_is_read_again_is_counted_once() -> None:
    """An upload's second attempt begins at zero."""
    meter = Meter("uploading")
    item = meter.item(8)
    opened = item.reading(lambda: io.BytesIO(b"12345678"))
    opened().read(5)
    with opened() as body:
        body.read(2)
        assert reading(meter).amount == "2/8 bytes"
        body.read()

    assert meter.reading() is None


def test_a_download_that_goes_on_counts_only_what_travels() -> None:
    """The bytes that are there already are no part of the whole."""
    meter = Meter("downloading")
    item = meter.item(100)
    item.resume(60)
    item.add(10)
    assert reading(meter).amount == "10/40 bytes"

    item.resume(70)  # the connection was lost, and the next attempt goes on
    assert reading(meter).amount == "10/40 bytes"

    item.resume(0)  # the server can't go on
    item.add(1)
    assert reading(meter).amount == "1/100 bytes"


MOVES = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 50)),
    st.tuples(st.just("resume"), st.integers(0, 120)),
    st.tuples(st.just("reach"), st.integers(0, 120)),
)


@given(st.lists(st.tuples(st.none() | st.integers(0, 100), st.lists(MOVES))))
def test_closed_items_leave_the_meter_whole(items: list[tuple[int | None, list[tuple[str, int]]]]) -> None:
    """Whatever happens to the pieces of work, in the end as much is done as there was to do."""
    meter = Meter("work")
    opened: list[Item] = []
    for size, moves in items:
        opened.append(meter.item(size))
        for move, count in moves:
            getattr(opened[-1], move)(count)
            assert meter._done >= 0
    for item in opened:
        item.close()
        item.close()

    assert (meter._done, meter._unknown) == (meter._total, 0)


def test_threads_lose_no_bytes() -> None:
    """Eight threads count together what they count apart."""
    meter = Meter("work")
    meter.item(10**9)

    def count() -> None:
        with meter.item(0) as item:
            for _ in range(10_000):
                item.add(1)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert meter._done == 80_000


def test_what_is_written_is_counted() -> None:
    """A layer's bytes reach the file and the meter."""
    meter = Meter("making layers")
    item, out = meter.item(10), io.BytesIO()
    item.writing(out).write(b"1234")

    assert out.getvalue() == b"1234"
    assert reading(meter).amount == "4/10 bytes"


def test_a_step_without_counts_shows_what_it_does() -> None:
    """And for how long."""
    clock = Clock()
    source = StepSource("download", "looking", Meters(clock), clock)
    clock.now = 65.0

    assert source.view() == ("download", 65.0, (cast("Reading", ("looking", None, "1:05", "", None)),))


@pytest.mark.parametrize(
    ("done", "total", "expected"),
    [
        (0, 0, "0/0 bytes"),
        (999, None, "999 bytes"),
        (1_500_000, 2_000_000, "1.5/2.0 MB"),
        (1_500_000, 3_000_000_000, "1.5 MB/3.0 GB"),
    ],
)
def test_amounts(done: int, total: int | None, expected: str) -> None:
    """One unit where both have it."""
    assert amount(done, total) == expected


@pytest.mark.parametrize(("seconds", "expected"), [(0.4, "0:00"), (65, "1:05"), (3725, "1:02:05"), (-1, "0:00")])
def test_durations(seconds: float, expected: str) -> None:
    """Minutes and seconds, and hours if there are any."""
    assert duration(seconds) == expected
