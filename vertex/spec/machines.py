"""Which machines custom jobs offer, and which accelerators go with them.

Source: https://cloud.google.com/vertex-ai/docs/training/configure-compute and the texts of refused requests. The list
of sizes grows, so a family that is known is not refused for a size that isn't.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ..job_types import Machine

_FAMILIES = (
    "e2",
    "n1",
    "n2",
    "n4",
    "c2",
    "m1",
    "a2",
    "a3",
    "a4",
    "a4x",
    "g2",
    "g4",
    "ct5lp",
    "ct6e",
    "tpu7x",
)
_REFUSED = {"n1-standard-1", "n1-standard-2"}
_N1_COUNTS = {
    "NVIDIA_TESLA_P4": (1, 2, 4),
    "NVIDIA_TESLA_P100": (1, 2, 4),
    "NVIDIA_TESLA_T4": (1, 2, 4),
    "NVIDIA_TESLA_V100": (1, 2, 4, 8),
}
# Machines that come with their GPUs, by prefix.
_BUILT_IN = {
    "a2-ultragpu-": "NVIDIA_A100_80GB",
    "a2-highgpu-": "NVIDIA_TESLA_A100",
    "a2-megagpu-": "NVIDIA_TESLA_A100",
    "a3-ultragpu-": "NVIDIA_H200_141GB",
    "a3-highgpu-": "NVIDIA_H100_80GB",
    "a3-edgegpu-": "NVIDIA_H100_80GB",
    "a3-megagpu-": "NVIDIA_H100_MEGA_80GB",
    "a4-highgpu-": "NVIDIA_B200",
    "a4x-highgpu-": "NVIDIA_GB200",
    "g2-standard-": "NVIDIA_L4",
    "g4-standard-": "NVIDIA_RTX_PRO_6000",
}
_G_COUNTS = {
    "g2-standard-4": 1,
    "g2-standard-8": 1,
    "g2-standard-12": 1,
    "g2-standard-16": 1,
    "g2-standard-24": 2,
    "g2-standard-32": 1,
    "g2-standard-48": 4,
    "g2-standard-96": 8,
    "g4-standard-48": 1,
    "g4-standard-96": 2,
    "g4-standard-192": 4,
    "g4-standard-384": 8,
}


DISK_TYPES = ("pd-ssd", "pd-standard", "hyperdisk-balanced")

FLEX_START = frozenset(
    {
        "NVIDIA_L4",
        "NVIDIA_TESLA_A100",
        "NVIDIA_A100_80GB",
        "NVIDIA_H100_80GB",
        "NVIDIA_H100_MEGA_80GB",
        "NVIDIA_H200_141GB",
        "NVIDIA_B200",
    }
)
"""Accelerators that FLEX_START can wait for."""


class Misfit(NamedTuple):
    """A field of a machine, and why Vertex AI refuses its value."""

    field: str
    reason: str


def check_machine(machine: Machine) -> Iterator[Misfit]:
    """Each reason for which Vertex AI refuses this machine; none for one that it may offer."""
    name = machine.machine_type
    known = name == "cloud-tpu" or name.startswith(tuple(f"{family}-" for family in _FAMILIES))
    if not known or name in _REFUSED:
        yield Misfit("machine_type", f"{name!r} is not offered for custom jobs")
    if not 100 <= machine.boot_disk_gb <= 64_000:
        yield Misfit("boot_disk_gb", f"{machine.boot_disk_gb} GB are asked for, 100 to 64,000 are allowed")
    if machine.boot_disk_type not in {None, *DISK_TYPES}:
        yield Misfit("boot_disk_type", f"{machine.boot_disk_type!r} is none of {', '.join(DISK_TYPES)}")
    if machine.tpu_topology and not re.fullmatch(r"\d+(x\d+){1,2}", machine.tpu_topology):
        yield Misfit("tpu_topology", f"{machine.tpu_topology!r} is not of the form 2x2")
    if bool(machine.accelerator_type) != bool(machine.accelerator_count):
        yield Misfit("accelerator_type", "the accelerator's type and count are both needed, or neither")
    elif machine.accelerator_type:
        yield from _check_accelerator(machine, machine.accelerator_type)
    elif built_in := _built_in(name):
        count = _built_in_count(name) or "a number of"
        yield Misfit("accelerator_type", f"{name} comes with {count} x {built_in}: give type and count")


def _check_accelerator(machine: Machine, accelerator: str) -> Iterator[Misfit]:
    name, count = machine.machine_type, machine.accelerator_count
    built_in = _built_in(name)
    if built_in and accelerator != built_in:
        yield Misfit("accelerator_type", f"{name} comes with {built_in}, not with {accelerator}")
    elif built_in and (only := _built_in_count(name)) and count != only:
        yield Misfit("accelerator_count", f"{name} comes with {only} x {built_in}, not with {count}")
    elif name.startswith("n1-") and accelerator not in _N1_COUNTS:
        offered = ", ".join(_N1_COUNTS)
        yield Misfit("accelerator_type", f"{accelerator!r} is not offered on {name}; {offered} are")
    elif name.startswith("n1-") and count not in _N1_COUNTS[accelerator]:
        yield Misfit(
            "accelerator_count", f"{count} x {accelerator} is not offered; {_counts(_N1_COUNTS[accelerator])} are"
        )
    elif not built_in and not name.startswith("n1-"):
        yield Misfit("accelerator_type", f"{name} takes no accelerator")


def _built_in(name: str) -> str | None:
    return next((kind for prefix, kind in _BUILT_IN.items() if name.startswith(prefix)), None)


def _counts(counts: tuple[int, ...]) -> str:
    return ", ".join(map(str, counts))


def _built_in_count(name: str) -> int | None:
    if found := re.search(r"gpu-(\d+)g", name):
        return int(found[1])
    return _G_COUNTS.get(name)
