"""Which machines custom jobs can have, and which accelerators fit them.

From https://cloud.google.com/vertex-ai/docs/training/configure-compute; a closed list, unlike Compute Engine's.
"""

from __future__ import annotations

_SIZES = {
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

# Each of these comes with exactly this accelerator, this many times.
_BUILT_IN: dict[str, tuple[str, int]] = {
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

_TPUS = {
    "cloud-tpu",
    *(f"ct5lp-hightpu-{chips}t" for chips in (1, 4, 8)),
    *(f"ct6e-standard-{chips}t" for chips in (1, 4, 8)),
}

# What can be attached to an n1.
_N1 = {
    "NVIDIA_TESLA_P4": (1, 2, 4),
    "NVIDIA_TESLA_P100": (1, 2, 4),
    "NVIDIA_TESLA_T4": (1, 2, 4),
    "NVIDIA_TESLA_V100": (1, 2, 4, 8),
}

MACHINE_TYPES = frozenset(
    {f"{family}-{size}" for family, sizes in _SIZES.items() for size in sizes} | _BUILT_IN.keys() | _TPUS
)
"""Every machine type a custom job can have."""

FLEX_START_ACCELERATORS = frozenset(
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
"""What FLEX_START can wait for."""


def misfit(machine_type: str, accelerator: str, count: int) -> str | None:
    """Why a machine can't have that many of that accelerator, in the service's words; None when it can.

    Args:
        machine_type: One of `MACHINE_TYPES`.
        accelerator: As "NVIDIA_L4"; empty for none.
        count: Accelerators a machine; 0 for none.
    """
    if machine_type in _BUILT_IN:
        wanted, number = _BUILT_IN[machine_type]
        if not accelerator:
            return f'Machine type "{machine_type}" needs accelerator "{wanted}" with count {number}'
        counts = (number,) if accelerator == wanted else ()
    elif not accelerator or machine_type in _TPUS:
        return None
    else:
        counts = _N1.get(accelerator, ()) if machine_type.startswith("n1-") else ()
    if not counts:
        return f'Accelerator "{accelerator}" is not supported for machine type "{machine_type}"'
    if count not in counts:
        allowed = ", ".join(map(str, counts))
        return (
            f'Accelerator count {count} of "{accelerator}" is not supported for machine type "{machine_type}":'
            f" use {allowed}"
        )
    return None
