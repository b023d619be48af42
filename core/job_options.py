"""What can be chosen for a training job, whichever program it runs; `job_fields` says what each field means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from .job_fields import (
    ACCELERATOR_COUNT,
    ACCELERATOR_TYPE,
    BOOT_DISK_GB,
    BOOT_DISK_TYPE,
    ENCRYPTION_KEY,
    MACHINE_TYPE,
    MAX_WAIT,
    NETWORK,
    PERSISTENT_RESOURCE,
    REPLICAS,
    RESERVATION,
    RESTARTS,
    SERVICE_ACCOUNT,
    STRATEGY,
    TENSORBOARD,
    TIMEOUT,
    TPU_TOPOLOGY,
    WEB_ACCESS,
    Restarts,
    Role,
    Strategy,
)


@dataclass(frozen=True, slots=True)
class Machine:
    """One replica's hardware."""

    machine_type: str = MACHINE_TYPE.default
    accelerator_type: str | None = ACCELERATOR_TYPE.default
    accelerator_count: int = ACCELERATOR_COUNT.default
    boot_disk_gb: int = BOOT_DISK_GB.default
    boot_disk_type: str | None = BOOT_DISK_TYPE.default
    tpu_topology: str | None = TPU_TOPOLOGY.default
    reservation: str | None = RESERVATION.default

    def __str__(self) -> str:
        """For example "g2-standard-24 with 2 NVIDIA_L4"."""
        gpus = f" with {self.accelerator_count} {self.accelerator_type}" if self.accelerator_type else ""
        return f"{self.machine_type}{gpus}"


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool of replicas beside the primary one.

    Attributes:
        machine: Hardware of each replica; None for that of the primary.
        replicas: Number of replicas in this pool.
        image: None for the job's own image, with the job's command, arguments and variables. Another image runs its
            own entry point without any of them.
    """

    machine: Machine | None = None
    replicas: int = REPLICAS.default
    image: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """The options of a job: hardware, scheduling, and its surroundings in the cloud.

    Attributes:
        machine: Hardware of each replica.
        pools: Further pools by role. A worker pool can be given here or by `replicas`, not by both.
    """

    machine: Machine = field(default_factory=Machine)
    replicas: int = REPLICAS.default
    pools: Mapping[Role, Pool] = field(default_factory=dict)
    timeout: float = TIMEOUT.default
    strategy: Strategy = STRATEGY.default
    max_wait: float | None = MAX_WAIT.default
    restarts: Restarts = RESTARTS.default
    labels: Mapping[str, str] = field(default_factory=dict)
    service_account: str | None = SERVICE_ACCOUNT.default
    network: str | None = NETWORK.default
    tensorboard: str | None = TENSORBOARD.default
    web_access: bool = WEB_ACCESS.default
    persistent_resource: str | None = PERSISTENT_RESOURCE.default
    encryption_key: str | None = ENCRYPTION_KEY.default

    def options(self) -> dict[str, Any]:
        """The options alone, by name: arguments for another class that has them."""
        return {option.name: getattr(self, option.name) for option in fields(JobOptions)}
