"""Checks a machine against what Vertex AI offers for custom jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, cast

from ...core.job_fields import BOOT_DISK_GB, BOOT_DISK_TYPE, RESERVATION, TPU_TOPOLOGY, JobField
from ...core.job_options import Machine
from ...core.machine_types import (
    CLOUD_TPU_ACCELERATORS,
    ENDED_ACCELERATORS,
    N1_ACCELERATORS,
    RESERVED_MACHINE_TYPES,
    TABLE_DATE,
    TPU_MACHINE_TYPES,
    TPU_TOPOLOGIES,
    AcceleratorType,
    built_in_accelerator,
    is_known,
    may_be_offered,
    n1_counts,
)


class Misfit(NamedTuple):
    """A field of a machine, and why Vertex AI refuses its value."""

    field: str
    reason: str


def check_machine(machine: Machine) -> Iterator[Misfit]:
    """Yields each reason for which Vertex AI refuses this machine; none for one that it may offer."""
    name = machine.machine_type
    if not may_be_offered(name):
        yield Misfit("machine_type", f"{name!r} is not offered for custom jobs")
    if not BOOT_DISK_GB.minimum <= machine.boot_disk_gb <= BOOT_DISK_GB.maximum:
        yield Misfit("boot_disk_gb", f"{machine.boot_disk_gb} GB are asked for, not {BOOT_DISK_GB.rule}")
    yield from _check_text(BOOT_DISK_TYPE, machine.boot_disk_type)
    yield from _check_text(TPU_TOPOLOGY, machine.tpu_topology)
    yield from _check_text(RESERVATION, machine.reservation)
    if name in RESERVED_MACHINE_TYPES and not machine.reservation:
        yield Misfit("reservation", f"{name} is only to be had with one: give it as {RESERVATION.format}")
    if bool(machine.accelerator_type) != bool(machine.accelerator_count):
        yield Misfit("accelerator_type", "the accelerator's type and count are both needed, or neither")
    elif name in TPU_MACHINE_TYPES:
        yield from _check_tpu(machine)
    elif machine.accelerator_type:
        yield from _check_accelerator(name, machine.accelerator_type, machine.accelerator_count)
    elif built_in := built_in_accelerator(name):
        accelerator, count = built_in
        yield Misfit(
            "accelerator_type", f"{name} comes with {count or 'a number of'} x {accelerator}: give type and count"
        )


def unknown_size(machine: Machine) -> str:
    """A warning for a machine type that is newer than the table, or misspelled; empty for one in the table."""
    if is_known(machine.machine_type) or not may_be_offered(machine.machine_type):
        return ""
    return (
        f"{machine.machine_type} is not among the machine types that were documented on {TABLE_DATE}: "
        "Vertex AI may refuse it, and its price is not known here"
    )


def _check_text(field: JobField[str | None], value: str | None) -> Iterator[Misfit]:
    if value and not re.fullmatch(field.pattern, value):
        yield Misfit(field.name, f"{value!r} is not {field.rule}")


def _check_tpu(machine: Machine) -> Iterator[Misfit]:
    """`cloud-tpu` names its TPU as an accelerator, 8 cores or multiples of 32; newer ones name a topology."""
    name, accelerator, count = machine.machine_type, machine.accelerator_type, machine.accelerator_count
    if name == "cloud-tpu":
        if accelerator not in CLOUD_TPU_ACCELERATORS:
            yield Misfit("accelerator_type", f"cloud-tpu needs {' or '.join(CLOUD_TPU_ACCELERATORS)}, with a count")
        elif count != 8 and count % 32:
            yield Misfit("accelerator_count", f"{count} x {accelerator} is not offered; 8 and multiples of 32 are")
        return
    if accelerator:
        yield Misfit("accelerator_type", f"{name} takes no accelerator: its TPUs are chosen by tpu_topology")
    allowed = TPU_TOPOLOGIES.get(name)
    if not machine.tpu_topology:
        yield Misfit("tpu_topology", f"{name} needs one, such as {min(allowed, key=len) if allowed else '2x2'!r}")
    elif allowed and re.fullmatch(TPU_TOPOLOGY.pattern, machine.tpu_topology) and machine.tpu_topology not in allowed:
        chips = sorted(allowed, key=lambda text: (len(text), text))
        yield Misfit("tpu_topology", f"{machine.tpu_topology!r} is not offered on {name}; {', '.join(chips)} are")


def _check_accelerator(machine_type: str, accelerator: str, count: int) -> Iterator[Misfit]:
    built_in, number = built_in_accelerator(machine_type) or (None, None)
    if ended := ENDED_ACCELERATORS.get(accelerator):
        yield Misfit("accelerator_type", f"{accelerator} is no longer offered since {ended}")
    elif built_in:
        if accelerator != built_in:
            yield Misfit("accelerator_type", f"{machine_type} comes with {built_in}, not with {accelerator}")
        elif number and count != number:
            yield Misfit("accelerator_count", f"{machine_type} comes with {number} x {built_in}, not with {count}")
    elif not machine_type.startswith("n1-"):
        yield Misfit("accelerator_type", f"{machine_type} takes no accelerator")
    elif accelerator not in N1_ACCELERATORS:
        offered = ", ".join(N1_ACCELERATORS)
        yield Misfit("accelerator_type", f"{accelerator!r} is not offered on {machine_type}; {offered} are")
    elif count not in (counts := n1_counts(machine_type, cast("AcceleratorType", accelerator))):
        allowed = ", ".join(map(str, counts))
        are = "is" if len(counts) == 1 else "are"
        yield Misfit("accelerator_count", f"{count} x {accelerator} is not offered on {machine_type}; {allowed} {are}")
