"""What a replica finds in its environment.

https://cloud.google.com/vertex-ai/docs/training/code-requirements#environment-variables and
https://cloud.google.com/vertex-ai/docs/training/distributed-training#cluster-variables
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...core.output_folders import folder_uris, platform_variables
from .spec import JobSpec, Pool

_TF_ROLES = {0: "chief", 1: "worker", 2: "ps", 3: "evaluator"}
_MAX_VALUE = 120_000  # the kernel starts nothing with a longer variable, and a job may have 100,000 characters of args
_REFERENCE = re.compile(r"\$\$|\$\(([^)]*)\)")


def platform_env(
    spec: JobSpec, *, job_id: str, project_number: str, region: str, addresses: Mapping[str, str], replica: str
) -> dict[str, str]:
    """What the platform sets in one replica.

    Args:
        spec: The job's.
        job_id: Digits.
        project_number: Digits.
        region: As "us-central1".
        addresses: HOST:PORT of every replica, by name.
        replica: Which one, as "workerpool1-0".
    """
    env = {
        "CLOUD_ML_PROJECT_ID": project_number,
        "CLOUD_ML_JOB_ID": job_id,
        "CLOUD_ML_REGION": region,
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
    """The gs:// folders that the platform names to the job."""
    return folder_uris(spec.output) if spec.output else []


def expand(text: str, env: Mapping[str, str]) -> str:
    """Replaces `$(NAME)`; an unknown name stays as it is, and `$$` stands for `$`.

    The rule is Kubernetes':
    https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
    """

    def replace(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else env.get(match[1], match[0])

    return _REFERENCE.sub(replace, text)


def replica_env(platform: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """The platform's variables and then the job's own, each of which may refer to any before it."""
    env = dict(platform)
    for name, value in own.items():
        env[name] = expand(value, env)
    return env


def command_line(
    pool: Pool, entrypoint: Sequence[str], arguments: Sequence[str], env: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """The entry point and the arguments that run.

    Args:
        pool: Whose command replaces the image's entry point (and with it the image's arguments), as Docker has it.
        entrypoint: The image's.
        arguments: The image's.
        env: For `$(NAME)` in what the job brings; an image's own words stay as they are.
    """
    command = [expand(item, env) for item in pool.command]
    args = [expand(item, env) for item in pool.args]
    return command or list(entrypoint), args or ([] if pool.command else list(arguments))


def _cluster_spec(spec: JobSpec, addresses: Mapping[str, str], replica: str) -> str:
    pool, _, index = replica.rpartition("-")
    return _described(spec, addresses, {pool.index: pool.name for pool in spec.pools}, pool, index)


def _tf_config(spec: JobSpec, addresses: Mapping[str, str], replica: str) -> str:
    pool, _, index = replica.rpartition("-")
    return _described(spec, addresses, _TF_ROLES, _TF_ROLES[int(pool.removeprefix("workerpool"))], index)


def _described(spec: JobSpec, addresses: Mapping[str, str], names: Mapping[int, str], kind: str, index: str) -> str:
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
