"""Vertex AI's limits on a custom job; every broken one is named at once, with its field, before anything is built.

Source: the API's own comments and https://cloud.google.com/vertex-ai/docs/quotas.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple, get_args

from ...core.errors import VertexError
from ..job_types import DAY, JobRequest, Machine, Restarts, Strategy
from ..labels import KEY_LABEL, LABEL_LIMIT, LABEL_PATTERN
from .machines import FLEX_START, check_machine
from .output_folders import folder_variables

DISPLAY_NAME_LIMIT = 128
LABELS_LIMIT = 64
OWN_LABELS = 3
"""How many labels a submission adds."""
ENV_LIMIT = 100
ARGS_LIMIT = 100_000
WEEK = 7 * DAY

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OUTPUT = re.compile(r"gs://[a-z0-9][a-z0-9._-]{0,221}(/[^\r\n]*)?")
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_ACCOUNT = re.compile(r"[\w.-]+@[\w.-]+\.[a-z]+")
_NETWORK = re.compile(r"projects/\d+/global/networks/[a-z0-9-]+")
_TENSORBOARD = re.compile(r"projects/[\w.:-]+/locations/(?P<region>[a-z0-9-]+)/tensorboards/\d+")
_RESOURCE = re.compile(r"[a-z]([a-z0-9-]{0,126}[a-z0-9])?")

_MACHINES = "Choose a machine from https://cloud.google.com/vertex-ai/docs/training/configure-compute"


class Problem(NamedTuple):
    """One broken limit."""

    field: str
    what: str
    step: str


def check(request: JobRequest, *, region: str = "", local: bool = False) -> None:
    """Checks a request against Vertex AI's limits.

    Args:
        request: What is to run.
        region: Where; empty leaves out what depends on it.
        local: It goes to local_vertex, which also runs images that lie in a folder.

    Raises:
        VertexError: One or more limits are broken; all are named, each with its field.
    """
    problems = list(_problems(request, region, local=local))
    if not problems:
        return
    said = [f"{problem.field}: {problem.what}" for problem in problems]
    what = said[0] if len(said) == 1 else "; ".join(f"{i}. {text}" for i, text in enumerate(said, 1))
    raise VertexError(
        f"Vertex AI would refuse this job: {what}",
        where=request.display_name[:DISPLAY_NAME_LIMIT] or "job request",
        next_step="; ".join(dict.fromkeys(problem.step for problem in problems)),
        kind="invalid_request",
    )


def _problems(request: JobRequest, region: str, *, local: bool) -> Iterator[Problem]:
    length = len(request.display_name)
    if not 1 <= length <= DISPLAY_NAME_LIMIT:
        what = f"{length} characters, 1 to {DISPLAY_NAME_LIMIT} are allowed"
        yield Problem("display_name", what, "Choose another name")
    yield from _image(request.image, local=local)
    if not _OUTPUT.fullmatch(request.output):
        yield Problem("output", f"{request.output!r} is not a Cloud Storage folder", "Write it as gs://BUCKET/FOLDER")
    yield from _arguments(request)
    yield from _env({**folder_variables(request.output), **request.env})
    yield from _labels(request.labels)
    yield from _pools(request)
    yield from _scheduling(request)
    yield from _names(request, region, local=local)


def _image(image: str, *, local: bool) -> Iterator[Problem]:
    if not _DIGEST.search(image):
        yield Problem("image", f"{image!r} is not named by digest", "Name the image as HOST/PATH@sha256:...")
    if image.startswith("oci:") and not local:
        yield Problem(
            "image",
            f"{image} lies in a folder on this machine, where Vertex AI can't read it",
            "Push it to a registry: give --registry, or a ContainerRegistry block",
        )


def _arguments(request: JobRequest) -> Iterator[Problem]:
    length = sum(map(len, request.args))
    if length > ARGS_LIMIT:
        yield Problem(
            "args",
            f"the {len(request.args)} arguments have {length:,} characters together, the limit is {ARGS_LIMIT:,}",
            "Put long values into a file of the project and pass its name",
        )
    for field, texts in (("command", request.command), ("args", request.args), ("env", request.env.values())):
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
    if (count := len(labels) + OWN_LABELS * (KEY_LABEL not in labels)) > LABELS_LIMIT:
        what = f"{count} labels are set, ours included; the limit is {LABELS_LIMIT}"
        yield Problem("labels", what, "Use fewer labels")
    if bad := [key for key in labels if not LABEL_PATTERN.fullmatch(key) or not key[:1].isalpha()]:
        yield Problem("labels", f"not valid as label keys: {_listing(bad)}", step)
    if bad := [f"{key}={value}" for key, value in labels.items() if not LABEL_PATTERN.fullmatch(value)]:
        yield Problem("labels", f"not valid as label values: {_listing(bad)}", step)


def machines(request: JobRequest) -> dict[str, Machine]:
    """The machine of each pool, by the name of the setting that gives it; the primary pool's first, as ""."""
    others = {f"pools.{role}.": pool.machine or request.machine for role, pool in request.pools.items()}
    return {"": request.machine, **others}


def _pools(request: JobRequest) -> Iterator[Problem]:
    for place, machine in machines(request).items():
        if not place or machine is not request.machine:
            yield from (Problem(f"{place}{field}", reason, _MACHINES) for field, reason in check_machine(machine))
    counts = {"replicas": request.replicas} | {
        f"pools.{r}.replicas": pool.replicas for r, pool in request.pools.items()
    }
    for field, count in counts.items():
        if count < 1:
            yield Problem(field, f"{count} replicas are asked for", "Ask for at least 1")
    if request.replicas > 1 and "worker" in request.pools:
        what = f"{request.replicas} are asked for beside a worker pool of its own"
        yield Problem("replicas", what, "Give one of `replicas` and `pools.worker`")


def _scheduling(request: JobRequest) -> Iterator[Problem]:
    timeout, wait = request.timeout, request.max_wait
    if not (math.isfinite(timeout) and timeout >= 1):
        yield Problem("timeout", f"the time limit is {timeout} s", "Set a time limit of at least 1 s")
    if request.restarts not in get_args(Restarts):
        yield Problem("restarts", f"{request.restarts!r} is unknown", f"Use one of {', '.join(get_args(Restarts))}")
    if request.strategy not in get_args(Strategy):
        yield Problem("strategy", f"{request.strategy!r} is unknown", f"Use one of {', '.join(get_args(Strategy))}")
    if wait is not None and not (math.isfinite(wait) and wait >= 0):
        yield Problem("max_wait", f"{wait} s are asked for", "Give a number of seconds; 0 waits for ever")
    if request.strategy == "FLEX_START":
        yield from _flex_start(request)
    elif wait is not None:
        yield Problem(
            "max_wait", f"strategy {request.strategy} doesn't wait", "Use it with FLEX_START, or leave it out"
        )


def _flex_start(request: JobRequest) -> Iterator[Problem]:
    if request.timeout > WEEK:
        what = f"FLEX_START allows 7 days, {request.timeout / DAY:g} are asked for"
        yield Problem("timeout", what, "Set a time limit of at most 7 days")
    wanted = set(machines(request).values())
    if refused := sorted({machine.accelerator_type or "a machine without GPU" for machine in wanted} - FLEX_START):
        what = f"FLEX_START does not wait for {', '.join(refused)}"
        yield Problem("strategy", what, "Use it with L4, A100, H100, H200 or B200, or use STANDARD or SPOT")
    if len(wanted) > 1:
        yield Problem("strategy", "FLEX_START wants the same machine in all pools", "Leave the pools' machines out")


def _names(request: JobRequest, region: str, *, local: bool) -> Iterator[Problem]:
    """Names of other resources."""
    if request.service_account and not _ACCOUNT.fullmatch(request.service_account):
        what = f"{request.service_account!r} is not an address"
        yield Problem("service_account", what, "Write it as NAME@PROJECT.iam.gserviceaccount.com")
    if request.network and not _NETWORK.fullmatch(request.network):
        what = f"{request.network!r} is not a network's full name"
        yield Problem("network", what, "Write it as projects/PROJECT_NUMBER/global/networks/NAME")
    if request.persistent_resource:
        if local:
            yield Problem("persistent_resource", "local_vertex has none", "Leave it out of a run on this machine")
        if not _RESOURCE.fullmatch(request.persistent_resource):
            what = f"{request.persistent_resource!r} is not a resource's id"
            yield Problem("persistent_resource", what, "Give its id alone, not its full name")
    if request.tensorboard:
        yield from _tensorboard(request, region)


def _tensorboard(request: JobRequest, region: str) -> Iterator[Problem]:
    if not request.service_account:
        yield Problem(
            "tensorboard", "it needs a service_account, as which the job writes to it", "Set service_account too"
        )
    found = _TENSORBOARD.fullmatch(request.tensorboard or "")
    if not found:
        what = f"{request.tensorboard!r} is not a TensorBoard's full name"
        yield Problem("tensorboard", what, "Write it as projects/PROJECT/locations/REGION/tensorboards/NUMBER")
    elif region and found["region"] != region:
        what = f"it is in {found['region']}, the job in {region}"
        yield Problem("tensorboard", what, f"Use a TensorBoard in {region}")


def _listing(names: list[str]) -> str:
    shown = ", ".join(repr(name if len(name) <= 80 else f"{name[:77]}...") for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
