"""Checks a machine against what Vertex AI offers for custom jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ...core.job_fields import BOOT_DISK_GB, BOOT_DISK_TYPE, TPU_TOPOLOGY, JobField
from ...core.job_options import Machine
from ...core.machine_types import N1_ACCELERATORS, built_in_accelerator, may_be_offered


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
    if bool(machine.accelerator_type) != bool(machine.accelerator_count):
        yield Misfit("accelerator_type", "the accelerator's type and count are both needed, or neither")
    elif machine.accelerator_type:
        yield from _check_accelerator(name, machine.accelerator_type, machine.accelerator_count)
    elif built_in := built_in_accelerator(name):
        accelerator, count = built_in
        yield Misfit(
            "accelerator_type", f"{name} comes with {count or 'a number of'} x {accelerator}: give type and count"
        )


def _check_text(field: JobField[str | None], value: str | None) -> Iterator[Misfit]:
    if value and not re.fullmatch(field.pattern, value):
        yield Misfit(field.name, f"{value!r} is not {field.rule}")


def _check_accelerator(machine_type: str, accelerator: str, count: int) -> Iterator[Misfit]:
    built_in, number = built_in_accelerator(machine_type) or (None, None)
    counts = {str(name): allowed for name, allowed in N1_ACCELERATORS.items()}
    if built_in:
        if accelerator != built_in:
            yield Misfit("accelerator_type", f"{machine_type} comes with {built_in}, not with {accelerator}")
        elif number and count != number:
            yield Misfit("accelerator_count", f"{machine_type} comes with {number} x {built_in}, not with {count}")
    elif not machine_type.startswith("n1-"):
        yield Misfit("accelerator_type", f"{machine_type} takes no accelerator")
    elif accelerator not in counts:
        yield Misfit("accelerator_type", f"{accelerator!r} is not offered on {machine_type}; {', '.join(counts)} are")
    elif count not in counts[accelerator]:
        allowed = ", ".join(map(str, counts[accelerator]))
        yield Misfit("accelerator_count", f"{count} x {accelerator} is not offered; {allowed} are")
