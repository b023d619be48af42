"""Which machines and accelerators CreateCustomJob refuses, in the service's words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from ....core.machine_types import (
    BUILT_IN_ACCELERATORS,
    MACHINE_TYPES,
    N1_ACCELERATORS,
    TPU_MACHINE_TYPES,
    AcceleratorType,
    n1_counts,
)
from ..schema import Generated
from ..status import Violation


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


def machine_violations(machine: Generated, where: str) -> Iterator[Violation]:
    """The invalid fields of a MachineSpec.

    Args:
        machine: The MachineSpec.
        where: Its path in the request.
    """
    if not machine.machine_type:
        yield Violation(f"{where}.machine_type", "The machine type is required.")
    elif machine.machine_type not in MACHINE_TYPES:
        yield Violation(f"{where}.machine_type", f"Machine type `{machine.machine_type}` is not supported.")
    if bool(machine.accelerator_type) != bool(machine.accelerator_count):
        text = "Both `accelerator_type` and `accelerator_count` should be specified or none."
        yield Violation(f"{where}.accelerator_type", text)
    elif machine.accelerator_count < 0:
        yield Violation(f"{where}.accelerator_count", "The accelerator count must be positive.")


def accelerator_name(machine: Generated) -> str:
    """The accelerator's name; empty for none, its number if the schema doesn't know it."""
    if not machine.accelerator_type:
        return ""
    values = machine.DESCRIPTOR.fields_by_name["accelerator_type"].enum_type.values_by_number
    known = values.get(machine.accelerator_type)
    return known.name if known else str(machine.accelerator_type)
