"""Machine types and accelerators that Vertex AI offers for custom jobs: the one table of them.

Source: https://cloud.google.com/vertex-ai/docs/training/configure-compute. Compute Engine has more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

AcceleratorType = Literal[
    "NVIDIA_TESLA_T4",
    "NVIDIA_L4",
    "NVIDIA_TESLA_P4",
    "NVIDIA_TESLA_P100",
    "NVIDIA_TESLA_V100",
    "NVIDIA_TESLA_A100",
    "NVIDIA_A100_80GB",
    "NVIDIA_H100_80GB",
    "NVIDIA_H100_MEGA_80GB",
    "NVIDIA_H200_141GB",
    "NVIDIA_B200",
    "NVIDIA_GB200",
    "NVIDIA_RTX_PRO_6000",
]
"""GPUs by the API's name, in the order in which forms list them."""

_SIZES: Mapping[str, tuple[int, ...]] = {
    "e2-standard": (4, 8, 16, 32),
    "e2-highmem": (2, 4, 8, 16),
    "e2-highcpu": (16, 32),
    "n1-standard": (4, 8, 16, 32, 64, 96),
    "n1-highmem": (2, 4, 8, 16, 32, 64, 96),
    "n1-highcpu": (16, 32, 64, 96),
    "n2-standard": (4, 8, 16, 32, 48, 64, 80),
    "n2-highmem": (2, 4, 8, 16, 32, 48, 64, 80),
    "n2-highcpu": (16, 32, 48, 64, 80),
    "n4-standard": (4, 8, 16, 32, 48, 64, 80),
    "n4-highmem": (2, 4, 8, 16, 32, 48, 64, 80),
    "n4-highcpu": (16, 32, 48, 64, 80),
    "c2-standard": (4, 8, 16, 30, 60),
    "m1-ultramem": (40, 80, 160),
    "m1-megamem": (96,),
}

BUILT_IN_ACCELERATORS: Mapping[str, tuple[AcceleratorType, int]] = {
    **{f"a2-highgpu-{count}g": ("NVIDIA_TESLA_A100", count) for count in (1, 2, 4, 8)},
    "a2-megagpu-16g": ("NVIDIA_TESLA_A100", 16),
    **{f"a2-ultragpu-{count}g": ("NVIDIA_A100_80GB", count) for count in (1, 2, 4, 8)},
    **{f"a3-highgpu-{count}g": ("NVIDIA_H100_80GB", count) for count in (1, 2, 4, 8)},
    "a3-megagpu-8g": ("NVIDIA_H100_MEGA_80GB", 8),
    "a3-ultragpu-8g": ("NVIDIA_H200_141GB", 8),
    "a4-highgpu-8g": ("NVIDIA_B200", 8),
    "a4x-highgpu-4g": ("NVIDIA_GB200", 4),
    **{f"g2-standard-{size}": ("NVIDIA_L4", 1) for size in (4, 8, 12, 16, 32)},
    "g2-standard-24": ("NVIDIA_L4", 2),
    "g2-standard-48": ("NVIDIA_L4", 4),
    "g2-standard-96": ("NVIDIA_L4", 8),
    **{f"g4-standard-{48 * count}": ("NVIDIA_RTX_PRO_6000", count) for count in (1, 2, 4, 8)},
}
"""Machine types that come with GPUs: which, and how many. A job must name both, and no others."""

N1_ACCELERATORS: Mapping[AcceleratorType, tuple[int, ...]] = {
    "NVIDIA_TESLA_P4": (1, 2, 4),
    "NVIDIA_TESLA_P100": (1, 2, 4),
    "NVIDIA_TESLA_T4": (1, 2, 4),
    "NVIDIA_TESLA_V100": (1, 2, 4, 8),
}
"""GPUs that can be attached to an n1 machine, and in which numbers."""

TPU_MACHINE_TYPES = frozenset(
    {
        "cloud-tpu",
        *(f"ct5lp-hightpu-{chips}t" for chips in (1, 4, 8)),
        *(f"ct6e-standard-{chips}t" for chips in (1, 4, 8)),
        "tpu7x-standard-4t",
    }
)

MACHINE_TYPES = frozenset(
    {f"{series}-{size}" for series, sizes in _SIZES.items() for size in sizes}
    | BUILT_IN_ACCELERATORS.keys()
    | TPU_MACHINE_TYPES
)
"""Every machine type that is documented for custom jobs."""

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
