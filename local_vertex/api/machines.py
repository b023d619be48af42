"""Which machines and accelerators CreateCustomJob refuses, in the service's words."""

from __future__ import annotations

from typing import cast

from ...core.machine_types import (
    BUILT_IN_ACCELERATORS,
    N1_ACCELERATORS,
    TPU_MACHINE_TYPES,
    AcceleratorType,
    n1_counts,
)


def misfit(machine_type: str, accelerator: str, count: int) -> str | None:
    """The service's error text for a machine that can't have these accelerators; None when it can.

    Args:
        machine_type: One of `core.machine_types.MACHINE_TYPES`.
        accelerator: The API's name, such as "NVIDIA_L4"; empty for none.
        count: Accelerators in each machine; 0 for none.
    """
    if machine_type in BUILT_IN_ACCELERATORS:
        wanted, number = BUILT_IN_ACCELERATORS[machine_type]
        if not accelerator:
            return f'Machine type "{machine_type}" needs accelerator "{wanted}" with count {number}'
        counts = (number,) if accelerator == wanted else ()
    elif not accelerator or machine_type in TPU_MACHINE_TYPES:
        return None
    else:
        on_n1 = machine_type.startswith("n1-") and accelerator in N1_ACCELERATORS
        counts = n1_counts(machine_type, cast("AcceleratorType", accelerator)) if on_n1 else ()
    if not counts:
        return f'Accelerator "{accelerator}" is not supported for machine type "{machine_type}"'
    if count not in counts:
        allowed = ", ".join(map(str, counts))
        return (
            f'Accelerator count {count} of "{accelerator}" is not supported for machine type "{machine_type}":'
            f" use {allowed}"
        )
    return None
