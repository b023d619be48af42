"""The names of Vertex AI's training quotas, as metrics without their service: `custom_model_training_nvidia_t4_gpus`.

https://cloud.google.com/vertex-ai/docs/quotas#training
"""

from __future__ import annotations

from typing import get_args

from .job_fields import DISK_TYPES
from .machine_types import AcceleratorType

_TRAINING = "custom_model_training_"
_PREEMPTIBLE = f"{_TRAINING}preemptible_"
_OWN_CPUS = ("n2", "n4", "c2", "m1", "a2", "a3", "g2", "g4", "a4")
"""Series whose CPUs have a quota of their own; N1 and E2 share one."""

_RESTRICTED = frozenset({"NVIDIA_A100_80GB"})
"""https://github.com/GoogleCloudPlatform/vertex-ai-samples (`common_util.py` of the model garden) names no other."""

_RENAMED = {
    "nvidia_h100_80gb": "nvidia_h100",
    "nvidia_h100_mega_80gb": "nvidia_h100_mega",
    "nvidia_h200_141gb": "nvidia_h200",
}


def accelerator_quota(accelerator: str, *, preemptible: bool = False) -> str:
    """The quota of an accelerator.

    Args:
        accelerator: By the API's name.
        preemptible: Whether the machines are SPOT or FLEX_START.
    """
    name = accelerator.lower().replace("nvidia_tesla_", "nvidia_")
    metric = f"{_RENAMED.get(name, name)}_gpus" if name.startswith("nvidia") else name
    return f"{_PREEMPTIBLE if preemptible else _TRAINING}{metric}"


def cpu_quota(machine_type: str, *, preemptible: bool = False) -> str:
    """The quota of a machine type's CPUs; the preemptible one is shared by all series."""
    series = machine_type.partition("-")[0]
    if preemptible:
        return f"{_PREEMPTIBLE}cpus"
    return f"{_TRAINING}{series}_cpus" if series in _OWN_CPUS else f"{_TRAINING}cpus"


def disk_quota(disk_type: str) -> str:
    """The quota of a kind of boot disk, in gigabytes."""
    return f"{_TRAINING}{disk_type.replace('-', '_')}"


def restricted_quota(accelerator: str) -> str | None:
    """The quota of an accelerator for images that Google restricts; None where there is none."""
    own = accelerator_quota(accelerator).removeprefix(_TRAINING)
    return f"restricted_image_training_{own}" if accelerator in _RESTRICTED else None


def training_quotas() -> list[str]:
    """Every quota of CPUs, accelerators and disks."""
    cpus = [cpu_quota(f"{series}-x", preemptible=False) for series in ("n1", *_OWN_CPUS)]
    gpus = [accelerator_quota(name, preemptible=how) for how in (False, True) for name in get_args(AcceleratorType)]
    disks = [disk_quota(kind) for kind in DISK_TYPES]
    restricted = [quota for name in get_args(AcceleratorType) if (quota := restricted_quota(name))]
    return [*cpus, cpu_quota("n1-x", preemptible=True), *gpus, *disks, *restricted]
