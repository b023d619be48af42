"""Machine types and accelerators that Vertex AI offers for custom jobs: the one table of them.

The machine types are data, in `machine_types.csv`. Source of the rules here:
https://cloud.google.com/vertex-ai/docs/training/configure-compute. Compute Engine has more.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple, cast

AcceleratorType = Literal[
    "NVIDIA_TESLA_T4",
    "NVIDIA_L4",
    "NVIDIA_TESLA_P4",
    "NVIDIA_TESLA_V100",
    "NVIDIA_TESLA_A100",
    "NVIDIA_A100_80GB",
    "NVIDIA_H100_80GB",
    "NVIDIA_H100_MEGA_80GB",
    "NVIDIA_H200_141GB",
    "NVIDIA_B200",
    "NVIDIA_GB200",
    "NVIDIA_RTX_PRO_6000",
    "TPU_V2",
    "TPU_V3",
]
"""Accelerators by the API's name, in the order in which forms list them."""

TABLE_DATE = "2026-10-31"
"""Day of the documentation that the table follows, as in the table's first line."""


class MachineShape(NamedTuple):
    """What one machine of a type has.

    Attributes:
        vcpus: Virtual CPUs; 0 where none are published.
        memory_gb: Memory in gigabytes; 0 where none is published.
        accelerator: The GPU that comes with it; empty for none.
        accelerator_count: How many.
        local_ssd_gb: Local SSD that comes with it, in gigabytes.
    """

    vcpus: int
    memory_gb: float
    accelerator: str
    accelerator_count: int
    local_ssd_gb: int


def _read_table() -> dict[str, MachineShape]:
    lines = Path(__file__).with_suffix(".csv").read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return {
        row["machine_type"]: MachineShape(
            int(row["vcpus"]),
            float(row["memory_gb"]),
            row["accelerator"],
            int(row["accelerator_count"]),
            int(row["local_ssd_gb"]),
        )
        for row in rows
    }


MACHINE_SHAPES: Mapping[str, MachineShape] = _read_table()
"""Every machine type that is documented for custom jobs, from `machine_types.csv`."""

MACHINE_TYPES = frozenset(MACHINE_SHAPES)

BUILT_IN_ACCELERATORS: Mapping[str, tuple[AcceleratorType, int]] = {
    name: (cast("AcceleratorType", shape.accelerator), shape.accelerator_count)
    for name, shape in MACHINE_SHAPES.items()
    if shape.accelerator
}
"""Machine types that come with GPUs: which, and how many. A job must name both, and no others."""

N1_ACCELERATORS: Mapping[AcceleratorType, tuple[int, ...]] = {
    "NVIDIA_TESLA_P4": (1, 2, 4),
    "NVIDIA_TESLA_T4": (1, 2, 4),
    "NVIDIA_TESLA_V100": (1, 2, 4, 8),
}
"""GPUs that can be attached to an n1 machine, and in which numbers."""

_VCPUS_PER_GPU: Mapping[AcceleratorType, int] = {
    "NVIDIA_TESLA_P4": 24,
    "NVIDIA_TESLA_T4": 24,
    "NVIDIA_TESLA_V100": 12,
}
"""Most vCPUs of an n1 machine for each of its GPUs: a large machine takes no small number of them."""

ENDED_ACCELERATORS: Mapping[str, str] = {"NVIDIA_TESLA_K80": "2024-05-01", "NVIDIA_TESLA_P100": "2026-09-15"}
"""GPUs that Vertex AI no longer has, and the day on which they ended."""

TPU_MACHINE_TYPES = frozenset(name for name in MACHINE_SHAPES if name.startswith(("ct", "tpu")) or name == "cloud-tpu")

CLOUD_TPU_ACCELERATORS: tuple[AcceleratorType, ...] = ("TPU_V2", "TPU_V3")
"""What `cloud-tpu` must name as its accelerator; the other TPU machines must name a topology instead."""

TPU_TOPOLOGIES: Mapping[str, frozenset[str]] = {
    "ct5lp-hightpu-1t": frozenset({"1x1"}),
    "ct5lp-hightpu-4t": frozenset({"2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16"}),
    "ct5lp-hightpu-8t": frozenset({"2x4"}),
    "ct6e-standard-1t": frozenset({"1x1"}),
    "ct6e-standard-4t": frozenset({"2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16"}),
    "ct6e-standard-8t": frozenset({"2x4"}),
    "tpu7x-standard-4t": frozenset({"2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8", "8x8x16"}),
}
"""Arrangements of chips in which each TPU machine is offered."""

RESERVED_MACHINE_TYPES = frozenset({"a4x-highgpu-4g"})
"""Machine types that are only to be had with a reservation."""

FLEX_START_ACCELERATORS: frozenset[str] = frozenset(
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
"""GPUs that the strategy FLEX_START can wait for."""

_NOT_OFFERED = frozenset({"n1-standard-1", "n1-standard-2", "a3-edgegpu-8g"})
"""Machine types of Compute Engine that custom jobs can't have, although their family is offered."""

_FAMILIES = tuple(sorted({f"{name.partition('-')[0]}-" for name in MACHINE_TYPES - {"cloud-tpu"}}))
_HYPERDISK_BY_DEFAULT = ("a3-ultragpu", "a4-", "a4x-", "n4-")
_GPU_FAMILIES = tuple(sorted({f"{name.partition('-')[0]}-" for name in BUILT_IN_ACCELERATORS}))
_SERIES_ACCELERATORS: Mapping[str, AcceleratorType] = {
    name.rpartition("-")[0]: kind for name, (kind, _) in BUILT_IN_ACCELERATORS.items()
}


def may_be_offered(machine_type: str) -> bool:
    """Whether custom jobs may have this machine type.

    Google adds sizes from time to time, so a size that is not in the table passes where its family is offered.
    """
    known_family = machine_type == "cloud-tpu" or machine_type.startswith(_FAMILIES)
    return known_family and machine_type not in _NOT_OFFERED


def built_in_accelerator(machine_type: str) -> tuple[AcceleratorType, int | None] | None:
    """The GPU that a machine type comes with, and how many; None where it comes with none.

    The number is None for a size that is not in the table, for example one that Google added later.
    """
    if found := BUILT_IN_ACCELERATORS.get(machine_type):
        return found
    series = _SERIES_ACCELERATORS.get(machine_type.rpartition("-")[0])
    return (series, None) if series else None


def comes_with_gpu(machine_type: str) -> bool:
    """Whether every machine of this family has GPUs."""
    return machine_type.startswith(_GPU_FAMILIES)


def default_disk(machine_type: str) -> str:
    """The kind of boot disk that a machine gets unless another is asked for."""
    return "hyperdisk-balanced" if machine_type.startswith(_HYPERDISK_BY_DEFAULT) else "pd-ssd"


def is_known(machine_type: str) -> bool:
    """Whether the machine type is in the table; one that is not may be newer than the table."""
    return machine_type in MACHINE_SHAPES


def n1_counts(machine_type: str, accelerator: AcceleratorType) -> tuple[int, ...]:
    """How many of a GPU an n1 machine can have; large machines take no small numbers. Empty for none."""
    shape = MACHINE_SHAPES.get(machine_type)
    least = -(-shape.vcpus // _VCPUS_PER_GPU[accelerator]) if shape else 1
    return tuple(count for count in N1_ACCELERATORS[accelerator] if count >= least)
