"""Machines that are short or taken back: queues, stock-outs by region and time, FLEX_START, and preemption."""

from __future__ import annotations

from typing import Any

from prefect_vertex_training.local_vertex.faults import Faults

FLEX = {"strategy": "FLEX_START", "disable_retries": True}
STARTS = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("saved", flush=True), sys.exit(143)))
print("up", flush=True)
while True: time.sleep(0.02)
"""


def test_waiting_jobs_get_their_turn_in_the_order_of_their_creation(harness: Any, images: Any, pool: Any) -> None:
    """With room for one job, three end one after the other; one that is cancelled while it waits delays none."""
    harness.faults.update({"capacity": 1})
    image = images.image(Entrypoint=["sleep", "0.1"])
    jobs = [harness.submit(pool(image)) for _ in range(4)]
    harness.cancel(jobs[1])
    ended = [harness.ended(job) for job in jobs]

    assert ended[1].state == "JOB_STATE_CANCELLED"
    assert ended[0].end_time < ended[2].end_time < ended[3].end_time


def test_a_stock_out_ends_by_itself_and_only_in_its_region() -> None:
    """The time counts from when the switch is set; a region's own value replaces the one for all."""
    faults = Faults()
    faults.update({"stock_out_seconds@europe-west4": 600})
    begun = faults._set_at["stock_out_seconds@europe-west4"]

    assert faults.is_stocked_out("europe-west4", begun + 599)
    assert not faults.is_stocked_out("europe-west4", begun + 601)
    assert not faults.is_stocked_out("us-central1", begun + 1)
    faults.update({"stock_out_seconds": 600, "stock_out_seconds@europe-west4": 0})
    assert not faults.is_stocked_out("europe-west4")
    assert faults.is_stocked_out("us-central1")


def test_during_a_stock_out_jobs_fail_and_flex_start_waits(harness: Any, images: Any, pool: Any) -> None:
    """STANDARD fails with the service's text; FLEX_START stays PENDING, and runs when there are machines again."""
    image = images.image(Entrypoint=["true"])
    harness.faults.update({"stock_out_seconds": 3600})
    failed = harness.run(pool(image), scheduling={"disable_retries": True})
    waiting = harness.submit(pool(image), scheduling=FLEX)
    harness.reached(waiting, lambda record: "Job is preparing." in harness.lines(record.id))
    assert harness.store.get(waiting).state == "JOB_STATE_PENDING"
    harness.faults.update({"stock_out_seconds": 0})

    assert "Resources are insufficient in region: us-central1" in failed.error_message
    assert harness.ended(waiting).state == "JOB_STATE_SUCCEEDED"


def test_flex_start_expires_after_its_longest_wait(harness: Any, images: Any, pool: Any) -> None:
    """Also while it waits in the queue of a region without room."""
    image = images.image(Entrypoint=["sleep", "1000"])
    spec = {**FLEX, "max_wait_duration": "0.3s"}
    harness.faults.update({"flex_start_seconds": 3600})
    expired = harness.run(pool(image), scheduling=spec)
    harness.faults.update({"flex_start_seconds": 0, "capacity": 1})
    running = harness.submit(pool(image))
    harness.reached(running, lambda record: record.state == "JOB_STATE_RUNNING")
    behind = harness.run(pool(image), scheduling=spec)
    harness.cancel(running)

    assert [record.state for record in (expired, behind)] == ["JOB_STATE_EXPIRED"] * 2
    assert "0.3 seconds" in expired.error_message


def test_preemption_after_a_while_sends_sigterm_and_starts_again(harness: Any, images: Any, pool: Any) -> None:
    """Twice the script runs, is told to end, and is started again; the third start is left alone."""
    harness.faults.update({"preempt": 2, "preempt_after_seconds": 0.4})
    job = harness.submit(pool(images.script(STARTS)))
    harness.reached(job, lambda record: harness.lines(record.id, "workerpool0-0").count("up") == 3)
    record = harness.store.get(job)
    harness.cancel(job)

    assert record.detail["restarts"] == {"preempted": 2}
    assert harness.lines(job, "workerpool0-0")[:5] == ["up", "saved", "up", "saved", "up"]
