"""Validation of CreateCustomJob requests.

The limits are documented by Google. README.md says which error texts are those of the real service.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...core.machine_types import FLEX_START_ACCELERATORS, MACHINE_TYPES
from . import machines
from .schema import Generated
from .status import ApiError, Code, Violation, invalid

MAX_POOLS = 4
MAX_ENV = 100
MAX_ARGS = 100_000
WEEK = 7 * 24 * 3600
FLEX_START = 6

_C_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_OUTPUT = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](?:/[^\r\n]*)?")
# No leading dash and no space: in a command line the reference stays one argument and is never taken for an option.
_IMAGE = re.compile(r"(?:oci:/[^\x00-\x1f\x7f]+|[A-Za-z0-9][A-Za-z0-9._:/@+-]*)")


def check(job: Generated) -> None:
    """Checks a CustomJob.

    Args:
        job: The google.cloud.aiplatform.v1.CustomJob of the client.

    Raises:
        ApiError: The job is invalid; the error names every invalid field.
    """
    violations = [*_head(job), *_pools(job.job_spec), *_scheduling(job.job_spec)]
    if violations:
        raise invalid(violations)
    for pool in job.job_spec.worker_pool_specs:
        if pool.ByteSize():
            machine = pool.machine_spec
            problem = machines.misfit(machine.machine_type, _accelerator(machine), machine.accelerator_count)
            if problem:
                raise ApiError(Code.INVALID_ARGUMENT, problem)


def _head(job: Generated) -> Iterator[Violation]:
    if not job.display_name:
        yield Violation("display_name", "The display name is required.")
    elif len(job.display_name) > 128:
        yield Violation("display_name", "The display name can be up to 128 characters long.")
    for key, value in sorted(job.labels.items()):
        if not _is_label(key) or not key:
            yield Violation("labels", f"The label key `{key}` is not valid: {_LABEL_RULE}")
        if not _is_label(value):
            yield Violation("labels", f"The label value `{value}` of `{key}` is not valid: {_LABEL_RULE}")


_LABEL_RULE = "use at most 63 lowercase letters, digits, underscores and dashes."


def _is_label(text: str) -> bool:
    # International letters are allowed; letters without case count as lowercase.
    return len(text) <= 63 and all((c.isalnum() and c == c.lower()) or c in "_-" for c in text)


def _pools(spec: Generated) -> Iterator[Violation]:
    where = "job_spec.worker_pool_specs"
    if spec.persistent_resource_id:
        yield Violation("job_spec.persistent_resource_id", "Persistent resources are not served by local_vertex.")
    if not spec.worker_pool_specs or not spec.worker_pool_specs[0].ByteSize():
        yield Violation(where, "The first worker pool is required.")
        return
    if len(spec.worker_pool_specs) > MAX_POOLS:
        yield Violation(where, f"At most {MAX_POOLS} worker pools can be specified.")
    if spec.worker_pool_specs[0].replica_count != 1:
        yield Violation(f"{where}[0].replica_count", "The replica count of the first worker pool must be 1.")
    for number, pool in enumerate(spec.worker_pool_specs):
        if pool.ByteSize():
            yield from _pool(pool, f"{where}[{number}]")
    output = spec.base_output_directory.output_uri_prefix
    if spec.HasField("base_output_directory") and not _OUTPUT.fullmatch(output):
        field = "job_spec.base_output_directory.output_uri_prefix"
        yield Violation(field, f"`{output}` is not a Cloud Storage path of the form gs://bucket/path.")


def _pool(pool: Generated, where: str) -> Iterator[Violation]:
    if pool.replica_count < 1:
        yield Violation(f"{where}.replica_count", "The replica count must be positive.")
    if pool.WhichOneof("task") == "python_package_spec":
        yield Violation(f"{where}.python_package_spec", "Python packages are not served by local_vertex.")
    elif pool.WhichOneof("task") is None:
        yield Violation(where, "Either `container_spec` or `python_package_spec` is required.")
    else:
        yield from _container(pool.container_spec, f"{where}.container_spec")
    for mounts in ("nfs_mounts", "lustre_mounts"):
        if getattr(pool, mounts, None):
            yield Violation(f"{where}.{mounts}", "File systems are not mounted by local_vertex.")
    yield from _machine(pool.machine_spec, f"{where}.machine_spec")
    if pool.disk_spec.boot_disk_size_gb and not 100 <= pool.disk_spec.boot_disk_size_gb <= 64000:
        yield Violation(f"{where}.disk_spec.boot_disk_size_gb", "The boot disk size must be 100 to 64000 GB.")


def _container(container: Generated, where: str) -> Iterator[Violation]:
    if not _IMAGE.fullmatch(container.image_uri):
        yield Violation(f"{where}.image_uri", f"`{container.image_uri}` is not a container image.")
    if sum(map(len, container.args)) > MAX_ARGS:
        yield Violation(f"{where}.args", f"The arguments can be up to {MAX_ARGS} characters long in total.")
    if len(container.env) > MAX_ENV:
        yield Violation(f"{where}.env", f"At most {MAX_ENV} environment variables can be specified.")
    for number, variable in enumerate(container.env):
        if not _C_IDENTIFIER.fullmatch(variable.name):
            yield Violation(f"{where}.env[{number}].name", f"`{variable.name}` is not a valid C identifier.")


def _machine(machine: Generated, where: str) -> Iterator[Violation]:
    if not machine.machine_type:
        yield Violation(f"{where}.machine_type", "The machine type is required.")
    elif machine.machine_type not in MACHINE_TYPES:
        yield Violation(f"{where}.machine_type", f"Machine type `{machine.machine_type}` is not supported.")
    if bool(machine.accelerator_type) != bool(machine.accelerator_count):
        text = "Both `accelerator_type` and `accelerator_count` should be specified or none."
        yield Violation(f"{where}.accelerator_type", text)
    elif machine.accelerator_count < 0:
        yield Violation(f"{where}.accelerator_count", "The accelerator count must be positive.")


def _scheduling(spec: Generated) -> Iterator[Violation]:
    scheduling, where = spec.scheduling, "job_spec.scheduling"
    if scheduling.timeout.ToNanoseconds() < 0:
        yield Violation(f"{where}.timeout", "The timeout must not be negative.")
    if scheduling.strategy != FLEX_START:
        if scheduling.HasField("max_wait_duration"):
            text = "`max_wait_duration` can be specified with the strategy FLEX_START only."
            yield Violation(f"{where}.max_wait_duration", text)
        return
    if scheduling.timeout.ToSeconds() > WEEK:
        yield Violation(f"{where}.timeout", "With the strategy FLEX_START the timeout can be up to 7 days.")
    used = [pool.machine_spec for pool in spec.worker_pool_specs if pool.ByteSize()]
    if any(_accelerator(machine) not in FLEX_START_ACCELERATORS for machine in used):
        text = "FLEX_START is supported for L4, A100, H100, H200 and B200 accelerators only."
        yield Violation(f"{where}.strategy", text)
    if any(machine != used[0] for machine in used):
        text = "With the strategy FLEX_START all worker pools must have the same machine."
        yield Violation(f"{where}.strategy", text)


def _accelerator(machine: Generated) -> str:
    """The accelerator's name; empty for none, its number if the schema doesn't know it."""
    if not machine.accelerator_type:
        return ""
    values = machine.DESCRIPTOR.fields_by_name["accelerator_type"].enum_type.values_by_number
    known = values.get(machine.accelerator_type)
    return known.name if known else str(machine.accelerator_type)
