"""The part of `[tool.vertex-training]` that says how the job runs; `core.job_fields` describes each key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from ...core.job_fields import (
    ACCELERATOR_COUNT,
    ACCELERATOR_TYPE,
    ATTEMPTS,
    BOOT_DISK_GB,
    BOOT_DISK_TYPE,
    ENCRYPTION_KEY,
    IMAGE,
    LABELS,
    LAUNCHER,
    MACHINE_TYPE,
    MAX_COST,
    MAX_WAIT,
    NETWORK,
    OUTPUT,
    PERSISTENT_RESOURCE,
    POOLS,
    PROCESSES,
    REPLICAS,
    RESERVATION,
    RESTARTS,
    SERVICE_ACCOUNT,
    STRATEGY,
    TENSORBOARD,
    TIMEOUT,
    TPU_TOPOLOGY,
    WEB_ACCESS,
    JobField,
    Launcher,
    Role,
)
from ...core.job_options import JobOptions, Machine, Pool
from .readers import Keys, UnknownChoice, count, duration, flag, matching, number, read_table


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings(JobOptions):
    """A project's settings of its job.

    Service account, network, TensorBoard, persistent resource and output are None where the project leaves them to the
    VertexAI block.

    Attributes:
        max_cost: The most that all jobs of a run may cost, in USD; None for no limit.
        launcher: What starts several processes of the script on each machine.
        processes: How many; "gpu" for one on each GPU.
        output: The folder in a bucket in which each run gets a folder of its own.
    """

    attempts: int = ATTEMPTS.default
    max_cost: float | None = MAX_COST.default
    launcher: Launcher = LAUNCHER.default
    processes: str | int = PROCESSES.default
    output: str | None = OUTPUT.default


def job_settings(values: dict[str, Any], table: str, file: Path) -> JobSettings:
    """Takes the job's settings out of those of the project.

    Args:
        values: Values as `read_table` returned them; those of the job are removed.
        table: Name of the table, for error messages.
        file: The file that holds it, for error messages.

    Raises:
        ProjectError: A pool's setting is unknown or wrong.
    """
    chosen = _take(values, JOB_KEYS)
    pools = {
        role: _pool(read_table(pool, _POOL_KEYS, f"{table}.pools.{role}", file))
        for role, pool in chosen.pop("pools", {}).items()
    }
    return JobSettings(machine=Machine(**_take(chosen, _MACHINE_KEYS)), pools=pools, **chosen)


def _pool(values: dict[str, Any]) -> Pool:
    """A pool without a machine of its own has that of the job."""
    machine = _take(values, _MACHINE_KEYS)
    return Pool(machine=Machine(**machine) if machine else None, **values)


def _take(values: dict[str, Any], keys: Keys) -> dict[str, Any]:
    names = [key.replace("-", "_") for key in keys]
    return {name: values.pop(name) for name in names if name in values}


def _pools(value: object) -> Mapping[str, Mapping[str, Any]]:
    if not isinstance(value, dict) or not all(isinstance(item, dict) for item in value.values()):
        raise TypeError
    if unknown := set(value) - set(get_args(Role)):
        raise UnknownChoice(unknown.pop(), get_args(Role))
    return value


def _labels(value: object) -> Mapping[str, str]:
    """Names and values as Vertex AI has them are checked with the request."""
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise TypeError
    return value


def _processes(value: object) -> str | int:
    """`gpu`, or a number."""
    return "gpu" if value == "gpu" else count(value)


Entry = tuple[str, tuple[str, Callable[[object], object]]]


def _entry(field: JobField[Any], read: Callable[[object], object]) -> Entry:
    return field.key, (field.rule, read)


def _text(field: JobField[Any]) -> Entry:
    return _entry(field, matching(field.pattern))


def _number(field: JobField[Any], read: Callable[[object], float]) -> Entry:
    """Reads a number within the field's limits."""

    def limited(value: object) -> float:
        if not field.minimum <= (number := read(value)) <= field.maximum:
            raise ValueError
        return number

    return _entry(field, limited)


_MACHINE_KEYS: Keys = dict(
    (
        _text(MACHINE_TYPE),
        _text(ACCELERATOR_TYPE),
        _number(ACCELERATOR_COUNT, count),
        _number(BOOT_DISK_GB, count),
        _text(BOOT_DISK_TYPE),
        _text(TPU_TOPOLOGY),
        _text(RESERVATION),
    )
)

_POOL_KEYS: Keys = {**_MACHINE_KEYS, **dict((_number(REPLICAS, count), _text(IMAGE)))}

JOB_KEYS: Keys = {
    **_MACHINE_KEYS,
    **dict(
        (
            _number(REPLICAS, count),
            _entry(POOLS, _pools),
            _text(LAUNCHER),
            _entry(PROCESSES, _processes),
            _number(TIMEOUT, duration),
            _text(STRATEGY),
            _number(MAX_WAIT, duration),
            _number(ATTEMPTS, count),
            _number(MAX_COST, number),
            _text(RESTARTS),
            _entry(LABELS, _labels),
            _text(SERVICE_ACCOUNT),
            _text(NETWORK),
            _text(TENSORBOARD),
            _entry(WEB_ACCESS, flag),
            _text(PERSISTENT_RESOURCE),
            _text(ENCRYPTION_KEY),
            _text(OUTPUT),
        )
    ),
}
"""The keys of `[tool.vertex-training]` that belong to the job."""
