"""Task groups end as a whole, with the first failure."""

from __future__ import annotations

import threading

import pytest
from prefect_vertex_training.core.errors import ImageError
from prefect_vertex_training.images.pipeline.task_group import TaskGroup


def test_first_failure_is_raised() -> None:
    """The block raises the first failure, although the caller waits for another task that was only stopped."""
    with pytest.raises(KeyError, match="first"), TaskGroup() as tasks:  # noqa: PT012

        def patient() -> None:
            tasks.stopped.wait(60)
            raise ImageError("I was stopped")

        def failing() -> None:
            raise KeyError("first")

        waiting = tasks.make(patient)
        tasks.send(failing)
        waiting.result()


def test_failure_in_the_block_is_raised() -> None:
    """A failure in the block itself isn't hidden by the tasks that it stops."""

    def patient(tasks: TaskGroup) -> None:
        tasks.stopped.wait(60)
        raise ImageError("I was stopped")

    with pytest.raises(ValueError, match="mine"), TaskGroup() as tasks:  # noqa: PT012
        tasks.make(patient, tasks)
        raise ValueError("mine")


def test_no_task_starts_after_a_failure() -> None:
    """A task that waits for a thread when another fails is never run."""
    ran: list[int] = []
    blocked = threading.Event()

    def work(number: int) -> None:
        blocked.wait(60)
        ran.append(number)

    with pytest.raises(ValueError, match="stop"), TaskGroup() as tasks:  # noqa: PT012
        futures = [tasks.make(work, number) for number in range(50)]
        tasks.stopped.set()
        blocked.set()
        raise ValueError("stop")

    assert len(ran) <= 8
    assert all(future.done() for future in futures)


def test_uploads_and_downloads_do_not_wait_for_computing() -> None:
    """They start although every computing thread is busy."""
    free = threading.Event()
    with TaskGroup() as tasks:
        makers = [tasks.make(free.wait, 30) for _ in range(20)]

        assert tasks.send(lambda: "sent").result(30) == "sent"
        assert tasks.fetch(lambda: "fetched").result(30) == "fetched"
        free.set()
        assert all(maker.result() for maker in makers)
