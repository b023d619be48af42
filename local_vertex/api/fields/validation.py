"""Validation of CreateCustomJob requests.

The limits are documented by Google. README.md says which error texts are those of the real service.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ....core.machine_types import FLEX_START_ACCELERATORS
from ..schema import Generated
from ..status import ApiError, Code, Violation, invalid
from .label_rule import label_violations
from .machines import accelerator_name, machine_violations, misfit

MAX_POOLS = 4
MAX_ENV = 100
MAX_ARGS = 100_000
MAX_PACKAGES = 100
WEEK = 7 * 24 * 3600
SPOT, FLEX_START = 4, 6

_C_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_OUTPUT = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](?:/[^\x00\r\n]*)?")
_PACKAGE = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]/[^\x00-\x1f\x7f]*[^/\x00-\x1f\x7f]")
_MODULE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)
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
            problem = misfit(machine.machine_type, accelerator_name(machine), machine.accelerator_count)
            if problem:
                raise ApiError(Code.INVALID_ARGUMENT, problem)


def _head(job: Generated) -> Iterator[Violation]:
    if not job.display_name:
        yield Violation("display_name", "The display name is required.")
    elif len(job.display_name) > 128:
        yield Violation("display_name", "The display name can be up to 128 characters long.")
    yield from label_violations(job.labels, "custom_job.labels")


def _pools(spec: Generated) -> Iterator[Violation]:
    where = "job_spec.worker_pool_specs"
    if not spec.worker_pool_specs or not spec.worker_pool_specs[0].ByteSize():
        yield Violation(where, "The first worker pool is required.")
        return
    if len(spec.worker_pool_specs) > MAX_POOLS:
        yield Violation(where, f"At most {MAX_POOLS} worker pools can be specified.")
    if spec.worker_pool_specs[0].replica_count not in {0, 1}:
        yield Violation(f"{where}[0].replica_count", "The replica count of the first worker pool must be 1.")
    for number, pool in enumerate(spec.worker_pool_specs):
        if pool.ByteSize():
            yield from _pool(pool, f"{where}[{number}]")
    output = spec.base_output_directory.output_uri_prefix
    if spec.HasField("base_output_directory") and not _OUTPUT.fullmatch(output):
        field = "job_spec.base_output_directory.output_uri_prefix"
        yield Violation(field, f"`{output}` is not a Cloud Storage path of the form gs://bucket/path.")


def _pool(pool: Generated, where: str) -> Iterator[Violation]:
    if pool.replica_count < 0:  # left out it is 1
        yield Violation(f"{where}.replica_count", "The replica count must be positive.")
    if pool.WhichOneof("task") == "python_package_spec":
        yield from _package(pool.python_package_spec, f"{where}.python_package_spec")
    elif pool.WhichOneof("task") is None:
        yield Violation(where, "Either `container_spec` or `python_package_spec` is required.")
    else:
        yield from _container(pool.container_spec, f"{where}.container_spec")
    for mounts in ("nfs_mounts", "lustre_mounts"):
        if getattr(pool, mounts, None):
            yield Violation(f"{where}.{mounts}", "File systems are not mounted by local_vertex.")
    yield from machine_violations(pool.machine_spec, f"{where}.machine_spec")
    if pool.disk_spec.boot_disk_size_gb and not 100 <= pool.disk_spec.boot_disk_size_gb <= 64000:
        yield Violation(f"{where}.disk_spec.boot_disk_size_gb", "The boot disk size must be 100 to 64000 GB.")


def _container(container: Generated, where: str) -> Iterator[Violation]:
    yield from _image(container.image_uri, f"{where}.image_uri")
    yield from _args(container, where)


def _package(package: Generated, where: str) -> Iterator[Violation]:
    yield from _image(package.executor_image_uri, f"{where}.executor_image_uri")
    if not package.package_uris or len(package.package_uris) > MAX_PACKAGES:
        yield Violation(f"{where}.package_uris", f"1 to {MAX_PACKAGES} packages must be specified.")
    for number, uri in enumerate(package.package_uris):
        if not _PACKAGE.fullmatch(uri):
            text = f"`{uri}` is not the Cloud Storage path of a package, like gs://bucket/trainer-0.1.tar.gz."
            yield Violation(f"{where}.package_uris[{number}]", text)
    if not _MODULE.fullmatch(package.python_module):
        yield Violation(f"{where}.python_module", f"`{package.python_module}` is not the name of a Python module.")
    yield from _args(package, where)


def _image(uri: str, where: str) -> Iterator[Violation]:
    if not _IMAGE.fullmatch(uri):
        yield Violation(where, f"`{uri}` is not a container image.")


def _args(task: Generated, where: str) -> Iterator[Violation]:
    if sum(map(len, task.args)) > MAX_ARGS:
        yield Violation(f"{where}.args", f"The arguments can be up to {MAX_ARGS} characters long in total.")
    if len(task.env) > MAX_ENV:
        yield Violation(f"{where}.env", f"At most {MAX_ENV} environment variables can be specified.")
    for number, variable in enumerate(task.env):
        if not _C_IDENTIFIER.fullmatch(variable.name):
            yield Violation(f"{where}.env[{number}].name", f"`{variable.name}` is not a valid C identifier.")
    # No program can be started with a NUL in its arguments or variables.
    texts = [*task.args, *getattr(task, "command", ()), *(variable.value for variable in task.env)]
    if any("\0" in text for text in texts):
        yield Violation(where, "A command, argument or variable has a NUL character.")


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
    if any(accelerator_name(machine) not in FLEX_START_ACCELERATORS for machine in used):
        text = "FLEX_START is supported for L4, A100, H100, H200 and B200 accelerators only."
        yield Violation(f"{where}.strategy", text)
    if any(machine != used[0] for machine in used):
        text = "With the strategy FLEX_START all worker pools must have the same machine."
        yield Violation(f"{where}.strategy", text)
