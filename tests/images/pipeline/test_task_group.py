"""Threads end together, with the failure that came first."""

from __future__ import annotations

import threading

import pytest
from prefect_vertex_training.core.errors import ImageError
from prefect_vertex_training.images.pipeline.task_group import TaskGroup


def test_first_failure_counts() -> None:
    """The block ends with the first failure, though the caller waits for another thread, which was only stopped."""
    with pytest.raises(KeyError, match="first"), TaskGroup() as tasks:  # noqa: PT012

        def patient() -> None:
            tasks.stopped.wait(30)
            raise ImageError("I was stopped")

        def failing() -> None:
            raise KeyError("first")

        waiting = tasks.make(patient)
        tasks.send(failing)
        waiting.result()


def test_failure_in_the_block_counts() -> None:
    """What fails in the block itself isn't hidden by the threads that it stops."""

    def patient(tasks: TaskGroup) -> None:
        tasks.stopped.wait(30)
        raise ImageError("I was stopped")

    with pytest.raises(ValueError, match="mine"), TaskGroup() as tasks:  # noqa: PT012
        tasks.make(patient, tasks)
        raise ValueError("mine")


def test_nothing_begins_after_a_failure() -> None:
    """What waits for a thread when something fails is never run."""
    ran: list[int] = []
    blocked = threading.Event()

    def work(number: int) -> None:
        blocked.wait(30)
        ran.append(number)

    with pytest.raises(ValueError, match="stop"), TaskGroup() as tasks:  # noqa: PT012
        futures = [tasks.make(work, number) for number in range(50)]
        tasks.stopped.set()
        blocked.set()
        raise ValueError("stop")

    assert len(ran) <= 8
    assert all(future.done() for future in futures)


def test_neither_sending_nor_fetching_is_behind_making() -> None:
    """What waits for a network begins although every maker is busy."""
    free = threading.Event()
    with TaskGroup() as tasks:
        makers = [tasks.make(free.wait, 30) for _ in range(20)]

        assert tasks.send(lambda: "sent").result(30) == "sent"
        assert tasks.fetch(lambda: "fetched").result(30) == "fetched"
        free.set()
        assert all(maker.result() for maker in makers)
