"""A job's machines in the local run: each is a process that starts the script through the launcher, as in a job.

The script is unchanged: it runs on the CPUs, with two machines of two processes where the job has several of both.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from .... import runtime
from ....runtime.launcher.launcher_variable import Launch, encode
from ...settings.job_settings import JobSettings
from . import node_group

_MOST = 2
"""Machines, and processes on each."""
_BARRIER_SECONDS = "60"


def nodes(job: JobSettings) -> int:
    """How many machines the local run has."""
    worker = job.pools.get("worker")
    return min(_MOST, max(job.replicas, 1 + (worker.replicas if worker else 0)))


def processes(job: JobSettings) -> int:
    """How many processes each of them has."""
    return _MOST if job.processes == "gpu" else min(_MOST, int(job.processes))


def rehearsed(
    words: Sequence[str], env: Mapping[str, str], job: JobSettings, python: Path, log: Callable[[str], None]
) -> tuple[list[str], dict[str, str]]:
    """The command that runs a script as its job would, and the variables for it.

    Args:
        words: The script's own command.
        env: The script's variables.
        job: The job's settings.
        python: The Python that runs the script, and the runtime before it.
        log: Called with a line that says what is done.
    """
    count = nodes(job)
    log(f"rehearsal with {job.launcher}: machines {count}, processes on each {processes(job)}, on CPUs")
    launch = Launch(job.launcher, processes(job), 1)
    shared = {**env, **encode(launch), "CUDA_VISIBLE_DEVICES": "", "VERTEX_TRAINING_BARRIER_SECONDS": _BARRIER_SECONDS}
    start = [str(python), "-IB", str(Path(runtime.__file__).parent), "--", *words]
    group = json.dumps([_cluster(addresses, rank) for addresses in [_addresses(count)] for rank in range(count)])
    return [sys.executable, "-IB", node_group.__file__, group, *start], shared


def world_of_one(job: JobSettings) -> Mapping[str, str]:
    """The variables of a launcher's only process, for an image that is run without the runtime."""
    if job.launcher == "none":
        return {}
    return {
        **dict.fromkeys(("RANK", "LOCAL_RANK", "GROUP_RANK"), "0"),
        **dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), "1"),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "29500",
    }


def _addresses(count: int) -> list[str]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


def _cluster(addresses: Sequence[str], rank: int) -> dict[str, str]:
    """The variables that Vertex AI sets on one machine."""
    pools = {"workerpool0": addresses[:1], "workerpool1": addresses[1:]}
    task = {"type": "workerpool1" if rank else "workerpool0", "index": max(0, rank - 1)}
    spec = {"cluster": {name: found for name, found in pools.items() if found}, "task": task, "environment": "cloud"}
    variables = {"CLUSTER_SPEC": json.dumps(spec), "CLOUD_ML_JOB_ID": "local-run"}
    if len(addresses) > 1:
        host, _, port = addresses[0].rpartition(":")
        own = {"MASTER_ADDR": host, "MASTER_PORT": port, "RANK": str(rank), "WORLD_SIZE": str(len(addresses))}
        variables |= own
    return variables
