"""The environment variables and the command line of a replica.

https://cloud.google.com/vertex-ai/docs/training/code-requirements#environment-variables and
https://cloud.google.com/vertex-ai/docs/training/distributed-training#cluster-variables
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ....core.errors import ImageError
from ....core.output_folders import folder_uris, platform_variables
from ....core.placeholders import expand
from ...location import Location
from .job_spec import JobSpec, Package, Pool

LOCAL_GS = (
    "The script wrote to a folder named gs: in its working directory, because it used a gs:// URI as a path, and what"
    ' it saved there would be lost. Write uri.replace("gs://", "/gcs/", 1), or use VERTEX_TRAINING_MODEL_DIR'
)
"""Why a replica fails that took a gs:// URI for a path, as `Path("gs://...")` does."""

_TF_ROLES = {0: "chief", 1: "worker", 2: "ps", 3: "evaluator"}
_MAX_VALUE = 120_000  # the kernel's limit is 131,072 bytes, and a job may have 100,000 characters of args


def platform_env(
    spec: JobSpec, *, job_id: str, location: Location, addresses: Mapping[str, str], replica: str
) -> dict[str, str]:
    """The variables that Vertex AI sets for one replica.

    Args:
        spec: The job's spec.
        job_id: Digits.
        location: The project and region of the job.
        addresses: HOST:PORT of every replica, by name.
        replica: Name of the replica, for example "workerpool1-0".
    """
    env = {
        "CLOUD_ML_PROJECT_ID": location.project_number,
        "CLOUD_ML_JOB_ID": job_id,
        "CLOUD_ML_REGION": location.region,
        "CLUSTER_SPEC": _cluster_spec(spec, addresses, replica),
    }
    if spec.output:
        env |= platform_variables(spec.output)
    if len(addresses) > 1:
        host, _, port = addresses[spec.primary].rpartition(":")
        ranks = [name for _, _, name in spec.replicas()]
        env |= {
            "TF_CONFIG": _tf_config(spec, addresses, replica),
            "MASTER_ADDR": host,
            "MASTER_PORT": port,
            "RANK": str(ranks.index(replica)),
            "WORLD_SIZE": str(len(ranks)),
        }
    return env


def output_folders(spec: JobSpec) -> list[str]:
    """The gs:// folders that the AIP_ variables name."""
    return folder_uris(spec.output) if spec.output else []


def command_line(
    pool: Pool, entrypoint: Sequence[str], arguments: Sequence[str], env: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """The entry point and the arguments to run.

    Args:
        pool: Its command replaces the image's entry point and arguments, as in Docker.
        entrypoint: The image's entry point.
        arguments: The image's arguments.
        env: Values for `$(NAME)` in the pool's command and args; the image's own are not expanded.

    Raises:
        ImageError: There is nothing to run.
    """
    if pool.package is not None:
        return package_command(pool.package, [expand(item, env) for item in pool.args])
    command = [expand(item, env) for item in pool.command]
    args = [expand(item, env) for item in pool.args]
    found = command or list(entrypoint), args or ([] if pool.command else list(arguments))
    if not any(found):
        raise ImageError(
            "the image has neither an entry point nor a command", where=pool.image, next_step="Set the job's command"
        )
    return found


def package_command(package: Package, args: Sequence[str]) -> tuple[list[str], list[str]]:
    """The entry point and arguments that install a package in its executor image and run its module, as Vertex AI does.

    Args:
        package: The package; buckets are mounted below /gcs.
        args: The module's arguments.
    """
    files = [f"/gcs/{uri.removeprefix('gs://')}" for uri in package.uris]
    script = (
        'module=$1; count=$2; shift 2; while [ "$count" -gt 0 ]; do'
        ' python3 -m pip install --user --no-warn-script-location "$1" || exit 1; shift; count=$((count-1)); done;'
        ' echo "Running module $module."; exec python3 -m "$module" "$@"'
    )
    return ["sh", "-c", script, "sh"], [package.module, str(len(files)), *files, *args]


def _cluster_spec(spec: JobSpec, addresses: Mapping[str, str], replica: str) -> str:
    pool, _, index = replica.rpartition("-")
    return _cluster_json(spec, addresses, {pool.index: pool.name for pool in spec.pools}, pool, index)


def _tf_config(spec: JobSpec, addresses: Mapping[str, str], replica: str) -> str:
    pool, _, index = replica.rpartition("-")
    return _cluster_json(spec, addresses, _TF_ROLES, _TF_ROLES[int(pool.removeprefix("workerpool"))], index)


def _cluster_json(spec: JobSpec, addresses: Mapping[str, str], names: Mapping[int, str], kind: str, index: str) -> str:
    cluster: dict[str, list[str]] = {}
    for pool, _, name in spec.replicas():
        cluster.setdefault(names[pool.index], []).append(addresses[name])
    document: dict[str, Any] = {
        "cluster": cluster,
        "environment": "cloud",
        "task": {"type": kind, "index": int(index)},
    }
    whole = json.dumps({**document, "job": json.dumps(spec.raw)})
    return whole if len(whole) < _MAX_VALUE else json.dumps(document)
