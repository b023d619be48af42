"""Checks a job against Vertex AI's limits; all that are broken are reported at once, each with its field.

Source: the API's own comments and https://cloud.google.com/vertex-ai/docs/quotas.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ...core.errors import VertexError
from ...core.job_fields import (
    DAY,
    ENCRYPTION_KEY,
    IMAGE,
    MAX_WAIT,
    NETWORK,
    OUTPUT,
    PERSISTENT_RESOURCE,
    REPLICAS,
    RESTARTS,
    SERVICE_ACCOUNT,
    STRATEGY,
    TENSORBOARD,
    TIMEOUT,
    JobField,
)
from ...core.job_options import Machine
from ...core.machine_types import FLEX_START_ACCELERATORS, TPU_MACHINE_TYPES
from ...core.output_folders import mounted_path, path_variables
from ..job_types import JobDescription, JobRequest
from ..labels import LABEL_LIMIT, LABEL_PATTERN, LABELS_LIMIT, SUBMISSION_LABELS
from .machine_check import check_machine

DISPLAY_NAME_LIMIT = 128
ENV_LIMIT = 100
ARGS_LIMIT = 100_000
WEEK = 7 * DAY

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")

_MACHINES = "Choose a machine from https://cloud.google.com/vertex-ai/docs/training/configure-compute"


class Problem(NamedTuple):
    """One broken limit: the field, what is wrong with it, and what to do."""

    field: str
    what: str
    step: str


def check_description(job: JobDescription, *, region: str = "", local: bool = False) -> None:
    """Checks a job against Vertex AI's limits before its image is built.

    Args:
        job: The job without its image.
        region: Region of the job; empty leaves out the checks that depend on it.
        local: True for a job in local_vertex.

    Raises:
        VertexError: One or more limits are broken; all are named, each with its field.
    """
    _refuse(job, list(_problems(job, region, local=local)))


def check_request(request: JobRequest, *, region: str = "", local: bool = False) -> None:
    """Checks a whole request against Vertex AI's limits.

    Args:
        request: The job.
        region: As in `check_description`.
        local: True for a job in local_vertex, which also runs images from a folder of this machine.

    Raises:
        VertexError: One or more limits are broken; all are named, each with its field.
    """
    _refuse(request, [*_problems(request, region, local=local), *_image(request.image, local=local)])


def _refuse(job: JobDescription, problems: list[Problem]) -> None:
    if not problems:
        return
    texts = [f"{problem.field}: {problem.what}" for problem in problems]
    what = texts[0] if len(texts) == 1 else "; ".join(f"{i}. {text}" for i, text in enumerate(texts, 1))
    raise VertexError(
        f"Vertex AI would refuse this job: {what}",
        where=job.display_name[:DISPLAY_NAME_LIMIT] or "job request",
        next_step="; ".join(dict.fromkeys(problem.step for problem in problems)),
        kind="invalid_request",
    )


def _problems(job: JobDescription, region: str, *, local: bool) -> Iterator[Problem]:
    length = len(job.display_name)
    if not 1 <= length <= DISPLAY_NAME_LIMIT:
        what = f"{length} characters, 1 to {DISPLAY_NAME_LIMIT} are allowed"
        yield Problem("display_name", what, "Choose another name")
    yield from _text(OUTPUT, job.output)
    yield from _arguments(job)
    yield from _env({**path_variables(mounted_path(job.output)), **job.env, **dict.fromkeys(job.secret_env, "")})
    yield from _labels(job.labels)
    yield from _pools(job)
    yield from _scheduling(job)
    yield from _resources(job, region, local=local)


def _text(field: JobField[Any], value: str) -> Iterator[Problem]:
    if not re.fullmatch(field.pattern, value):
        step = f"Write it as {field.format}" if field.format else f"Use {field.expected}"
        yield Problem(field.name, f"{value!r} is not {field.expected}", step)


def _image(image: str, *, local: bool) -> Iterator[Problem]:
    if not _DIGEST.search(image):
        yield Problem("image", f"{image!r} is not named by digest", f"Name the image as {IMAGE.format}")
    if image.startswith("oci:") and not local:
        yield Problem(
            "image",
            f"{image} lies in a folder on this machine, where Vertex AI can't read it",
            "Push it to a registry: give --registry, or a ContainerRegistry block",
        )


def _arguments(job: JobDescription) -> Iterator[Problem]:
    length = sum(map(len, job.args))
    if length > ARGS_LIMIT:
        yield Problem(
            "args",
            f"the {len(job.args)} arguments have {length:,} characters together, the limit is {ARGS_LIMIT:,}",
            "Put long values into a file of the project and pass its name",
        )
    for field, texts in (("command", job.command), ("args", job.args), ("env", job.env.values())):
        if any("\0" in text for text in texts):
            yield Problem(field, "a value contains a NUL character", "Remove it")


def _env(env: Mapping[str, str]) -> Iterator[Problem]:
    if len(env) > ENV_LIMIT:
        what = f"{len(env)} environment variables are set, ours included; the limit is {ENV_LIMIT}"
        yield Problem("env", what, "Put values into a file of the project")
    if bad := [name for name in env if not _ENV_NAME.fullmatch(name)]:
        what = f"not valid as environment variable names: {_listing(bad)}"
        yield Problem("env", what, "Use letters, digits and `_`, no digit first")


def _labels(labels: Mapping[str, str]) -> Iterator[Problem]:
    step = f"Use at most {LABEL_LIMIT} lowercase letters, digits, `_` and `-`, a letter first in a key"
    if (count := len({*labels, *SUBMISSION_LABELS})) > LABELS_LIMIT:
        what = f"{count} labels are set, ours included; the limit is {LABELS_LIMIT}"
        yield Problem("labels", what, "Use fewer labels")
    if bad := [key for key in labels if not LABEL_PATTERN.fullmatch(key) or not key[:1].isalpha()]:
        yield Problem("labels", f"not valid as label keys: {_listing(bad)}", step)
    if bad := [f"{key}={value}" for key, value in labels.items() if not LABEL_PATTERN.fullmatch(value)]:
        yield Problem("labels", f"not valid as label values: {_listing(bad)}", step)


def machines_by_pool(job: JobDescription) -> dict[str, Machine]:
    """The machine of each pool by the prefix of its settings: "" for the primary pool, "pools.worker." and so on."""
    others = {f"pools.{role}.": pool.machine or job.machine for role, pool in job.pools.items()}
    return {"": job.machine, **others}


def _pools(job: JobDescription) -> Iterator[Problem]:
    for place, machine in machines_by_pool(job).items():
        if not place or machine is not job.machine:
            yield from (Problem(f"{place}{field}", reason, _MACHINES) for field, reason in check_machine(machine))
    counts = {"replicas": job.replicas} | {f"pools.{r}.replicas": pool.replicas for r, pool in job.pools.items()}
    for field, count in counts.items():
        if count < REPLICAS.minimum:
            yield Problem(field, f"{count} replicas are asked for", f"Ask for {REPLICAS.rule}")
    if job.machine.machine_type in TPU_MACHINE_TYPES and (job.replicas > 1 or job.pools):
        what = "a job on TPUs has one pool with one replica"
        yield Problem("replicas", what, "Choose a larger tpu_topology instead, and leave pools and replicas out")
    if job.replicas > 1 and "worker" in job.pools:
        what = f"{job.replicas} are asked for beside a worker pool of its own"
        yield Problem("replicas", what, "Give one of `replicas` and `pools.worker`")


def _scheduling(job: JobDescription) -> Iterator[Problem]:
    timeout, wait = job.timeout, job.max_wait
    if not (math.isfinite(timeout) and timeout >= TIMEOUT.minimum):
        yield Problem("timeout", f"the time limit is {timeout} s", f"Set a time limit of at least {TIMEOUT.minimum} s")
    yield from _text(RESTARTS, job.restarts)
    yield from _text(STRATEGY, job.strategy)
    if wait is not None and not (math.isfinite(wait) and wait >= MAX_WAIT.minimum):
        yield Problem("max_wait", f"{wait} s are asked for", "Give a number of seconds; 0 waits for ever")
    if job.strategy == "FLEX_START":
        yield from _flex_start(job)
    elif wait is not None:
        yield Problem("max_wait", f"strategy {job.strategy} doesn't wait", "Use it with FLEX_START, or leave it out")


def _flex_start(job: JobDescription) -> Iterator[Problem]:
    if job.timeout > WEEK:
        what = f"FLEX_START allows 7 days, {job.timeout / DAY:g} are asked for"
        yield Problem("timeout", what, "Set a time limit of at most 7 days")
    wanted = set(machines_by_pool(job).values())
    accelerators = {machine.accelerator_type or "a machine without GPU" for machine in wanted}
    if refused := sorted(accelerators - FLEX_START_ACCELERATORS):
        what = f"FLEX_START does not wait for {', '.join(refused)}"
        yield Problem("strategy", what, "Use it with L4, A100, H100, H200 or B200, or use STANDARD or SPOT")
    if len(wanted) > 1:
        yield Problem("strategy", "FLEX_START wants the same machine in all pools", "Leave the pools' machines out")


def _resources(job: JobDescription, region: str, *, local: bool) -> Iterator[Problem]:
    """Names of other Google Cloud resources."""
    if job.service_account:
        yield from _text(SERVICE_ACCOUNT, job.service_account)
    if job.network:
        yield from _text(NETWORK, job.network)
    if job.persistent_resource:
        if local:
            yield Problem("persistent_resource", "local_vertex has none", "Leave it out of a run on this machine")
        yield from _text(PERSISTENT_RESOURCE, job.persistent_resource)
    if job.encryption_key:
        yield from _encryption_key(job.encryption_key, region)
    if job.tensorboard:
        yield from _tensorboard(job, job.tensorboard, region)


def _encryption_key(key: str, region: str) -> Iterator[Problem]:
    yield from _text(ENCRYPTION_KEY, key)
    found = re.fullmatch(ENCRYPTION_KEY.pattern, key)
    if found and region and found["region"] != region:
        what = f"it is in {found['region']}, the job in {region}"
        yield Problem("encryption_key", what, f"Use a key in {region}")


def _tensorboard(job: JobDescription, tensorboard: str, region: str) -> Iterator[Problem]:
    if not job.service_account:
        yield Problem(
            "tensorboard", "it needs a service_account, as which the job writes to it", "Set service_account too"
        )
    yield from _text(TENSORBOARD, tensorboard)
    found = re.fullmatch(TENSORBOARD.pattern, tensorboard)
    if found and region and found["region"] != region:
        what = f"it is in {found['region']}, the job in {region}"
        yield Problem("tensorboard", what, f"Use a TensorBoard in {region}")


def _listing(names: list[str]) -> str:
    shown = ", ".join(repr(name if len(name) <= 80 else f"{name[:77]}...") for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
