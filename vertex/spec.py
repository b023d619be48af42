"""A request as Google's message, checked first: every broken limit is named at once, before anything is sent."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ..core.errors import VertexError
from .machines import check_machine
from .model import JobRequest

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import CustomJob, WorkerPoolSpec

DISPLAY_NAME_LIMIT = 128
LABEL_LIMIT = 63
LABELS_LIMIT = 64
ENV_LIMIT = 100
ARGS_LIMIT = 100_000

_LABEL = re.compile(r"[a-z0-9_-]{0,63}")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OUTPUT = re.compile(r"gs://[a-z0-9][a-z0-9._-]{0,221}(/[^\r\n]*)?")
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


def check_label_value(value: str) -> None:
    """Checks a label's value.

    Raises:
        VertexError: It is longer than 63 characters, or has others than lowercase letters, digits, `_` and `-`.
    """
    if not value or not _LABEL.fullmatch(value):
        raise VertexError(
            "not a valid label value",
            where=repr(value),
            next_step=f"Use 1 to {LABEL_LIMIT} lowercase letters, digits, `_` and `-`",
        )


def check(request: JobRequest, *, local: bool = False) -> None:
    """Checks a request against Vertex AI's limits.

    Args:
        request: What is to run.
        local: It goes to local_vertex, which also runs images that lie in a folder.

    Raises:
        VertexError: One or more limits are broken; all are named.
    """
    problems = list(_problems(request, local=local))
    if not problems:
        return
    what = problems[0][0] if len(problems) == 1 else "; ".join(f"{i}. {p[0]}" for i, p in enumerate(problems, 1))
    steps = dict.fromkeys(step for _, step in problems)
    raise VertexError(
        f"Vertex AI would refuse this job: {what}",
        where=request.display_name[:DISPLAY_NAME_LIMIT] or "job request",
        next_step="; ".join(steps),
    )


def _problems(request: JobRequest, *, local: bool) -> Iterator[tuple[str, str]]:
    """Each broken limit: what, and the next step."""
    if not 1 <= len(request.display_name) <= DISPLAY_NAME_LIMIT:
        length = len(request.display_name)
        yield (
            f"the display name has {length} characters, 1 to {DISPLAY_NAME_LIMIT} are allowed",
            "Choose another name",
        )
    yield from _image_problems(request.image, local=local)
    if not _OUTPUT.fullmatch(request.output):
        yield f"the output {request.output!r} is not a Cloud Storage folder", "Write it as gs://BUCKET/FOLDER"
    yield from _argument_problems(request)
    yield from _env_problems(request.env)
    yield from _label_problems(request.labels)
    for problem in check_machine(request.machine):
        yield (
            problem,
            "Choose a machine from https://cloud.google.com/vertex-ai/docs/training/configure-compute",
        )
    if request.replicas < 1:
        yield f"{request.replicas} replicas are asked for", "Ask for at least 1"
    if not (math.isfinite(request.timeout) and request.timeout >= 1):
        yield f"the time limit is {request.timeout} s", "Set a time limit of at least 1 s"


def _image_problems(image: str, *, local: bool) -> Iterator[tuple[str, str]]:
    if not _DIGEST.search(image):
        yield f"the image {image!r} is not named by digest", "Name the image as HOST/PATH@sha256:..."
    if image.startswith("oci:") and not local:
        yield (
            f"the image {image} lies in a folder on this machine, where Vertex AI can't read it",
            "Push it to a registry: give --registry, or a ContainerRegistry block",
        )


def _argument_problems(request: JobRequest) -> Iterator[tuple[str, str]]:
    length = sum(map(len, request.args))
    if length > ARGS_LIMIT:
        yield (
            f"the {len(request.args)} arguments have {length:,} characters together, the limit is {ARGS_LIMIT:,}",
            "Put long values into a file of the project and pass its name",
        )
    if any("\0" in part for part in (*request.command, *request.args, *request.env.values())):
        yield "an argument or variable contains a NUL character", "Remove it"


def _env_problems(env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if len(env) > ENV_LIMIT:
        yield (
            f"{len(env)} environment variables are set, the limit is {ENV_LIMIT}",
            "Put values into a file of the project",
        )
    if bad := [name for name in env if not _ENV_NAME.fullmatch(name)]:
        yield (
            f"not valid as environment variable names: {_listing(bad)}",
            "Use letters, digits and `_`, no digit first",
        )


def _label_problems(labels: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    step = f"Use at most {LABEL_LIMIT} lowercase letters, digits, `_` and `-`, a letter first in a key"
    if len(labels) > LABELS_LIMIT:
        yield f"{len(labels)} labels are set, the limit is {LABELS_LIMIT}", "Use fewer labels"
    if bad := [key for key in labels if not _LABEL.fullmatch(key) or not key[:1].isalpha()]:
        yield f"not valid as label keys: {_listing(bad)}", step
    if bad := [f"{key}={value}" for key, value in labels.items() if not _LABEL.fullmatch(value)]:
        yield f"not valid as label values: {_listing(bad)}", step


def _listing(names: list[str]) -> str:
    shown = ", ".join(repr(name if len(name) <= 80 else f"{name[:77]}...") for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def to_custom_job(request: JobRequest, *, local: bool = False) -> CustomJob:
    """The request as Google's message.

    Raises:
        VertexError: It breaks one or more of Vertex AI's limits; all are named.
    """
    check(request, local=local)
    from google.cloud.aiplatform_v1 import CustomJob, CustomJobSpec, GcsDestination, Scheduling
    from google.protobuf.duration_pb2 import Duration

    # The first pool is the primary one, which has exactly one replica; the second holds the workers.
    pools = [_pool(request, 1)]
    if request.replicas > 1:
        pools.append(_pool(request, request.replicas - 1))
    return CustomJob(
        display_name=request.display_name,
        labels=dict(request.labels),
        job_spec=CustomJobSpec(
            worker_pool_specs=pools,
            scheduling=Scheduling(timeout=Duration(seconds=math.ceil(request.timeout))),
            service_account=request.service_account or "",
            network=request.network or "",
            base_output_directory=GcsDestination(output_uri_prefix=request.output),
        ),
    )


def _pool(request: JobRequest, replicas: int) -> WorkerPoolSpec:
    from google.cloud.aiplatform_v1 import (
        AcceleratorType,
        ContainerSpec,
        DiskSpec,
        EnvVar,
        MachineSpec,
        WorkerPoolSpec,
    )

    machine = request.machine
    spec = MachineSpec(machine_type=machine.machine_type)
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
    return WorkerPoolSpec(
        machine_spec=spec,
        replica_count=replicas,
        disk_spec=DiskSpec(boot_disk_size_gb=machine.boot_disk_gb),
        container_spec=ContainerSpec(
            image_uri=request.image,
            command=list(request.command),
            args=list(request.args),
            env=[EnvVar(name=name, value=value) for name, value in request.env.items()],
        ),
    )
