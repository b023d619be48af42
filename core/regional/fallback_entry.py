"""An entry of a fall-back list: where and on what a job is tried when the place before has no machines."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..job_fields import Strategy
from ..job_options import Machine
from ..machine_types import built_in_accelerator


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackEntry:
    """What one place of the list changes of the job; None leaves the job's own.

    Attributes:
        region: As "europe-west4".
        bucket: Name of the bucket for output there.
        machine_type: With it, the job's accelerator doesn't count: it is that of the machine type, or the entry's.
        accelerator_type: As "NVIDIA_L4".
        accelerator_count: How many.
        reservation: A reservation's full name.
        strategy: How the machines are found.
        max_wait: For FLEX_START, in seconds.
        wait: Seconds in which the job must get machines here.
    """

    region: str | None = None
    bucket: str | None = None
    machine_type: str | None = None
    accelerator_type: str | None = None
    accelerator_count: int | None = None
    reservation: str | None = None
    strategy: Strategy | None = None
    max_wait: float | None = None
    wait: float | None = None

    @property
    def changes_something(self) -> bool:
        """Whether it is another place than the one before: a bucket or a wait alone is none."""
        own = (self.region, self.machine_type, self.accelerator_type, self.accelerator_count, self.reservation)
        return any(value is not None for value in (*own, self.strategy))

    def machine(self, own: Machine) -> Machine:
        """The job's machine with what this entry changes."""
        machine = own
        if self.machine_type is not None:
            kind, count = built_in_accelerator(self.machine_type) or (None, 0)
            machine = replace(
                own,
                machine_type=self.machine_type,
                accelerator_type=kind,
                accelerator_count=count or 0,
                tpu_topology=None,
                reservation=None,
            )
        if self.accelerator_type is not None:
            same = machine.accelerator_type == self.accelerator_type
            number = machine.accelerator_count if same else 1
            machine = replace(machine, accelerator_type=self.accelerator_type, accelerator_count=number)
        if self.accelerator_count is not None:
            machine = replace(machine, accelerator_count=self.accelerator_count)
        return replace(machine, reservation=self.reservation) if self.reservation else machine
