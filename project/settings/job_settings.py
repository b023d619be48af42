"""How a project's job runs: the part of `[tool.vertex-training]` that says what to ask of Vertex AI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .readers import Keys, count, duration, environment, flag, matching, read_table, text

ROLES = ("worker", "server", "evaluator")
"""Pools beside the primary one."""


@dataclass(frozen=True, slots=True)
class MachineSettings:
    """One replica's hardware; None stands for the default.

    Attributes:
        machine_type: As Compute Engine names it.
        accelerator_type: As "NVIDIA_L4".
        accelerator_count: GPUs a replica.
        boot_disk_gb: Boot disk, GB.
        boot_disk_type: "pd-ssd", "pd-standard" or "hyperdisk-balanced".
        tpu_topology: As "2x2".
    """

    machine_type: str | None = None
    accelerator_type: str | None = None
    accelerator_count: int = 0
    boot_disk_gb: int | None = None
    boot_disk_type: str | None = None
    tpu_topology: str | None = None


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """A pool beside the primary one.

    Attributes:
        machine: None for the primary's.
        replicas: How many.
        image: None for the project's own.
    """

    machine: MachineSettings | None = None
    replicas: int = 1
    image: str | None = None


@dataclass(frozen=True, slots=True)
class JobSettings:
    """What to ask of Vertex AI; None leaves it to the VertexAI block, or to the default.

    Attributes:
        machine: Of each replica.
        replicas: One primary, the others workers.
        pools: Further pools, by role.
        timeout: Seconds until the job is stopped.
        strategy: STANDARD, SPOT or FLEX_START.
        max_wait: Seconds that FLEX_START may wait for machines; 0 for ever.
        attempts: How often the script may be started, counting every retry of anybody.
        restarts: What Vertex AI starts again by itself: "none", "replica" or "job".
        labels: Of the job.
        service_account: Runs the job.
        network: VPC to peer with.
        tensorboard: Where it writes its logs.
        web_access: A shell in the running containers.
        persistent_resource: Machines that are kept.
        output: `gs://BUCKET/FOLDER` in which every run gets a folder.
    """

    machine: MachineSettings = field(default_factory=MachineSettings)
    replicas: int = 1
    pools: Mapping[str, PoolSettings] = field(default_factory=dict)
    timeout: float | None = None
    strategy: str | None = None
    max_wait: float | None = None
    attempts: int = 3
    restarts: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    service_account: str | None = None
    network: str | None = None
    tensorboard: str | None = None
    web_access: bool = False
    persistent_resource: str | None = None
    output: str | None = None


def job_settings(values: dict[str, Any], table: str, file: Path) -> JobSettings:
    """Takes the job's settings out of those of the project.

    Args:
        values: As `read_table` returned them.
        table: The table's name, for messages.
        file: Where it stands, for messages.

    Raises:
        ProjectError: A pool's setting is unknown or wrong.
    """
    chosen = {name: values.pop(name) for key in JOB_KEYS if (name := key.replace("-", "_")) in values}
    pools = {
        role: _pool(read_table(pool, _POOL_KEYS, f"{table}.pools.{role}", file))
        for role, pool in chosen.pop("pools", {}).items()
    }
    return JobSettings(machine=_machine(chosen), pools=pools, **chosen)


def _machine(values: dict[str, Any]) -> MachineSettings:
    names = [key.replace("-", "_") for key in _MACHINE_KEYS]
    return MachineSettings(**{name: values.pop(name) for name in names if name in values})


def _pool(values: dict[str, Any]) -> PoolSettings:
    machine = _machine(values)
    return PoolSettings(machine=None if machine == MachineSettings() else machine, **values)


def _tables(value: object) -> Mapping[str, Mapping[str, Any]]:
    if not isinstance(value, dict) or not all(isinstance(item, dict) for item in value.values()):
        raise TypeError
    if set(value) - set(ROLES):
        raise ValueError
    return value


def _some(value: object) -> int:
    if (number := count(value)) < 1:
        raise ValueError
    return number


def _limit(value: object) -> float:
    if (seconds := duration(value)) <= 0:
        raise ValueError
    return seconds


_MACHINE_KEYS: Keys = {
    "machine-type": ('a machine type, as "n1-standard-4"', matching(r"[a-z][a-z0-9-]+")),
    "accelerator-type": ('an accelerator, as "NVIDIA_L4"', matching(r"[A-Z][A-Z0-9_]+")),
    "accelerator-count": ("a whole number, 0 or more", count),
    "boot-disk-gb": ("a whole number of gigabytes", count),
    "boot-disk-type": ('a disk type, as "pd-ssd"', matching(r"[a-z][a-z-]+")),
    "tpu-topology": ('a topology, as "2x2"', text),
}

_POOL_KEYS: Keys = {
    **_MACHINE_KEYS,
    "replicas": ("a whole number, 1 or more", _some),
    "image": ("an image reference", text),
}

JOB_KEYS: Keys = {
    **_MACHINE_KEYS,
    "replicas": ("a whole number, 1 or more", _some),
    "pools": (f"a table of the tables {', '.join(ROLES)}", _tables),
    "timeout": ('a time above 0: a number of seconds, or as "24h"', _limit),
    "strategy": ('"STANDARD", "SPOT" or "FLEX_START"', matching("STANDARD|SPOT|FLEX_START")),
    "max-wait": ('a time: a number of seconds, or as "24h"; 0 waits for ever', duration),
    "attempts": ("a whole number, 1 or more", _some),
    "restarts": ('"none", "replica" or "job"', matching("none|replica|job")),
    "labels": ("a table of names and texts", environment),
    "service-account": ("a service account's address", text),
    "network": ("a network's full name", text),
    "tensorboard": ("a TensorBoard's full name", text),
    "web-access": ("true or false", flag),
    "persistent-resource": ("a persistent resource's id", text),
    "output": ('a folder in a bucket, as "gs://BUCKET/FOLDER"', matching(r"gs://[a-z0-9][a-z0-9._-]+(/[^\r\n]*)?")),
}
"""The keys of `[tool.vertex-training]` that are the job's."""
