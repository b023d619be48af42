"""Translates a job request into Google's CustomJob message."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

from ...core.background.imports import one_importer
from ...core.errors import VertexError
from ...core.job_fields import Role
from ...core.job_options import Machine, Pool
from ...core.output_folders import mounted_path, path_variables
from ..job_types import JobRequest
from .request_limits import check_request

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import ContainerSpec, CustomJob, MachineSpec, Scheduling, WorkerPoolSpec
    from google.protobuf.duration_pb2 import Duration

_POSITIONS: Sequence[Role] = get_args(Role)
"""Roles of the pools after the primary one, in the order in which the API lists them."""

_RESERVATION_KEY = "compute.googleapis.com/reservation-name"
"""The only key that names a reservation."""


def to_custom_job(request: JobRequest, *, local: bool = False) -> CustomJob:
    """Returns the request as Google's message.

    Args:
        request: The job.
        local: True for a job in local_vertex.

    Raises:
        VertexError: It breaks one or more of Vertex AI's limits; all are named.
    """
    check_request(request, local=local)
    with one_importer():
        from google.cloud.aiplatform_v1.types.custom_job import CustomJob, CustomJobSpec
        from google.cloud.aiplatform_v1.types.encryption_spec import EncryptionSpec
        from google.cloud.aiplatform_v1.types.io import GcsDestination

    return CustomJob(
        display_name=request.display_name,
        labels=dict(request.labels),
        encryption_spec=EncryptionSpec(kms_key_name=request.encryption_key) if request.encryption_key else None,
        job_spec=CustomJobSpec(
            worker_pool_specs=_pools(request),
            scheduling=_scheduling(request),
            service_account=request.service_account or "",
            network=request.network or "",
            base_output_directory=GcsDestination(output_uri_prefix=request.output),
            tensorboard=request.tensorboard or "",
            enable_web_access=request.web_access,
            persistent_resource_id=request.persistent_resource or "",
        ),
    )


def _pools(request: JobRequest) -> list[WorkerPoolSpec]:
    """The primary pool, which has exactly one replica, and the others by position; `{}` stands for a pool left out."""
    from google.cloud.aiplatform_v1.types.custom_job import WorkerPoolSpec

    others = dict(request.pools)
    if request.replicas > 1:
        others["worker"] = Pool(replicas=request.replicas - 1)
    last = max((_POSITIONS.index(role) for role in others), default=-1)
    used = _POSITIONS[: last + 1]
    further = [_pool(request, others[role]) if role in others else WorkerPoolSpec() for role in used]
    return [_pool(request, Pool()), *further]


def _scheduling(request: JobRequest) -> Scheduling:
    from google.cloud.aiplatform_v1.types.custom_job import Scheduling

    return Scheduling(
        timeout=_duration(request.timeout),
        strategy=Scheduling.Strategy[request.strategy],
        disable_retries=request.restarts == "none",
        restart_job_on_worker_restart=request.restarts == "job",
        max_wait_duration=None if request.max_wait is None else _duration(request.max_wait),
    )


def _duration(seconds: float) -> Duration:
    from google.protobuf.duration_pb2 import Duration

    return Duration(seconds=math.ceil(seconds))


def _pool(request: JobRequest, pool: Pool) -> WorkerPoolSpec:
    from google.cloud.aiplatform_v1.types.custom_job import ContainerSpec, WorkerPoolSpec
    from google.cloud.aiplatform_v1.types.machine_resources import DiskSpec

    machine = pool.machine or request.machine
    return WorkerPoolSpec(
        machine_spec=_machine(machine),
        replica_count=pool.replicas,
        disk_spec=DiskSpec(boot_disk_size_gb=machine.boot_disk_gb, boot_disk_type=machine.boot_disk_type or ""),
        container_spec=ContainerSpec(image_uri=pool.image) if pool.image else _container(request),
    )


def _container(request: JobRequest) -> ContainerSpec:
    from google.cloud.aiplatform_v1.types.custom_job import ContainerSpec
    from google.cloud.aiplatform_v1.types.env_var import EnvVar

    env = {**path_variables(mounted_path(request.output)), **request.env}
    return ContainerSpec(
        image_uri=request.image,
        command=list(request.command),
        args=list(request.args),
        env=[EnvVar(name=name, value=value) for name, value in env.items()],
    )


def _machine(machine: Machine) -> MachineSpec:
    from google.cloud.aiplatform_v1.types.accelerator_type import AcceleratorType
    from google.cloud.aiplatform_v1.types.machine_resources import MachineSpec
    from google.cloud.aiplatform_v1.types.reservation_affinity import ReservationAffinity

    spec = MachineSpec(machine_type=machine.machine_type, tpu_topology=machine.tpu_topology or "")
    if machine.accelerator_type:
        try:
            spec.accelerator_type = AcceleratorType[machine.accelerator_type]
        except KeyError as error:
            raise VertexError(
                f"the installed google-cloud-aiplatform does not know {machine.accelerator_type}",
                where=machine.machine_type,
                next_step="Run: pip install --upgrade google-cloud-aiplatform",
            ) from error
        spec.accelerator_count = machine.accelerator_count
    if machine.reservation:
        spec.reservation_affinity = ReservationAffinity(
            reservation_affinity_type=ReservationAffinity.Type.SPECIFIC_RESERVATION,
            key=_RESERVATION_KEY,
            values=[machine.reservation],
        )
    return spec
