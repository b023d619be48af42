"""Steps in other threads than the main one end when their run does."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from prefect_vertex_training.tasks.stopping import run_end


def test_a_cancelled_call_ends_its_thread() -> None:
    """The event loop goes on meanwhile; a long sleep in the thread ends at once, and is waited for."""
    told: list[str] = []
    asleep = threading.Event()

    def work() -> None:
        asleep.set()
        try:
            run_end.sleep(600)
        except run_end.RunEnded:
            told.append("ended")
            raise

    async def main() -> None:
        call = asyncio.create_task(run_end.in_thread(work, patience=30))
        while not asleep.is_set():
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert told == ["ended"]

    asyncio.run(main())


def test_a_result_and_an_error_come_back() -> None:
    """As from any call."""

    def fail() -> None:
        raise ZeroDivisionError

    assert asyncio.run(run_end.in_thread(lambda: 3, patience=1)) == 3
    with pytest.raises(ZeroDivisionError):
        asyncio.run(run_end.in_thread(fail, patience=1))


def test_sleep_sleeps() -> None:
    """In a thread whose run goes on, and in the main thread."""
    begin = time.monotonic()
    thread = threading.Thread(target=run_end.sleep, args=(0.05,))
    thread.start()
    thread.join()
    run_end.sleep(0.01)

    assert time.monotonic() - begin >= 0.06
