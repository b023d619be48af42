"""The launcher inside a job: ranks, the barrier, signals and errors, with the runtime as processes."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.projects.launched_script import LAUNCHER
from fixtures.suite.ports import free_port
from prefect_vertex_training.runtime.launcher.launcher_variable import Launch, decode, encode
from prefect_vertex_training.runtime.launcher.node import Node, find_node

POOLS = {"workerpool0": ["a:2222"], "workerpool1": ["b:2222", "c:2222"], "workerpool2": ["d:2222"]}
ROLES = {"chief": ["a:2222"], "worker": ["b:2222", "c:2222"], "ps": ["d:2222"]}
ALL = ["a:2222", "b:2222", "c:2222"]
SAY = """
import os
words = (os.environ[name] for name in ("RANK", "WORLD_SIZE", "NODE_RANK", "MASTER_PORT"))
os.write(1, " ".join([*words, "\\n"]).encode())  # at once: processes share the pipe
"""


def spec(cluster: dict[str, list[str]], kind: str, index: int) -> str:
    """CLUSTER_SPEC or TF_CONFIG of one machine."""
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index, "trial": ""}, "job": "{}"})


@pytest.mark.parametrize(
    ("environ", "node"),
    [
        ({"CLUSTER_SPEC": spec(POOLS, "workerpool0", 0)}, Node(0, ALL)),
        ({"CLUSTER_SPEC": spec(POOLS, "workerpool1", 1)}, Node(2, ALL)),
        ({"CLUSTER_SPEC": spec(POOLS, "workerpool2", 0)}, None),
        ({"CLUSTER_SPEC": spec({"workerpool0": ["a:2222"]}, "workerpool0", 0)}, Node(0, [])),
        ({"TF_CONFIG": spec(ROLES, "worker", 0)}, Node(1, ALL)),
        ({"TF_CONFIG": spec(ROLES, "ps", 0)}, None),
        ({"TF_CONFIG": spec({"worker": ["a:1", "b:1"]}, "worker", 1)}, Node(1, ["a:1", "b:1"])),
        ({"CLUSTER_SPEC": spec(POOLS, "workerpool1", 0), "TF_CONFIG": "damaged"}, Node(1, ALL)),
        ({"RANK": "3", "WORLD_SIZE": "4"}, Node(0, [])),
        ({}, Node(0, [])),
    ],
)
def test_ranks_are_those_of_primary_and_workers(environ: dict[str, str], node: Node | None) -> None:
    """The primary has rank 0, then come the workers; servers and evaluators have none."""
    assert find_node(environ) == node


@pytest.mark.parametrize("text", ["x", "{}", "[]", spec(POOLS, "workerpool1", 2), '{"cluster": 1, "task": 2}'])
def test_a_damaged_cluster_is_named(text: str) -> None:
    """The variable is named, not a traceback shown."""
    with pytest.raises(ValueError, match="CLUSTER_SPEC can't be read"):
        find_node({"CLUSTER_SPEC": text})


def test_the_variable_comes_back() -> None:
    """What a job's environment holds is read as it was written; another launcher is refused."""
    launch = Launch("torchrun", 4, 2)
    assert decode(encode(launch)) == launch
    assert decode({}) is None
    for text in ('{"launcher": "mpirun"}', "[]", '{"launcher": "torchrun", "processes": "all"}'):
        with pytest.raises(ValueError):  # noqa: PT011 - json's own error, or ours
            decode({"VERTEX_TRAINING_LAUNCHER": text})


@pytest.fixture
def launcher(job) -> Path:
    """The stand-in for PyTorch, where the script's Python finds it."""
    folder = job.work / "torch" / "distributed"
    folder.mkdir(parents=True)
    for each in (folder.parent, folder):
        (each / "__init__.py").write_text("")
    (folder / "run.py").write_text(LAUNCHER)
    return folder


def free_ports(count: int) -> list[str]:
    """Addresses of this machine that nobody listens on."""
    return [f"127.0.0.1:{free_port()}" for _ in range(count)]


def node_env(job, addresses: list[str], rank: int, seconds: float = 60, **more: str) -> dict[str, str]:
    """The variables of one machine, with two processes each."""
    cluster = {"workerpool0": addresses[:1], "workerpool1": addresses[1:]}
    place = ("workerpool1", rank - 1) if rank else ("workerpool0", 0)
    variables = {"CLUSTER_SPEC": spec(cluster, *place), "RANK": str(rank), "WORLD_SIZE": str(len(addresses))}
    wait = {"VERTEX_TRAINING_BARRIER_SECONDS": str(seconds), "CLOUD_ML_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": ""}
    return job.env((), **{**encode(Launch("torchrun", 0, 2)), **variables, **wait, **more})


def test_machines_wait_for_the_last_one(job, launcher: Path) -> None:
    """The workers come first; all start when the primary is there, on the port that it listened on."""
    addresses = free_ports(3)
    nodes = {rank: job.start(SAY, node_env(job, addresses, rank)) for rank in (2, 1)}
    stranger = job.start(SAY, node_env(job, addresses, 1, seconds=1.5, CLOUD_ML_JOB_ID="8"))
    nodes[0] = job.start(SAY, node_env(job, addresses, 0))
    said = {rank: process.communicate(timeout=60) for rank, process in nodes.items()}

    port = addresses[0].rpartition(":")[2]
    for rank, (out, err) in said.items():
        assert sorted(out.splitlines()) == [f"{2 * rank + local} 6 {rank} {port} " for local in range(2)]
        assert (
            err == f"vertex-training: torchrun: node {rank} of 3, with 2 processes each that meet at {addresses[0]}\n"
        )
    assert {process.returncode for process in nodes.values()} == {0}
    assert "node 1 of 3 didn't meet the primary node" in stranger.communicate(timeout=60)[1]
    assert stranger.returncode == 1


def test_ranks_that_do_not_meet(job, launcher: Path) -> None:
    """Both sides say in one line who is missing."""
    addresses = free_ports(2)
    primary = job.run(SAY, node_env(job, addresses, 0, seconds=0.3))
    worker = job.run(SAY, node_env(job, addresses, 1, seconds=0.3))

    assert primary == (
        1,
        "",
        f"vertex-training: launcher: 1 of 2 nodes didn't arrive within 0 s: node 1 ({addresses[1]})\n",
    )
    assert worker[2].startswith(
        f"vertex-training: launcher: node 1 of 2 didn't meet the primary node at {addresses[0]}"
    )
    assert worker[2].count("\n") == 1


def test_a_machine_alone(job, launcher: Path) -> None:
    """One machine needs no meeting place."""
    env = job.env((), CUDA_VISIBLE_DEVICES="0,1,2", **encode(Launch("torchrun", 0, 1)))
    script = "import os; os.write(1, (os.environ['RANK'] + ' ' + os.environ['WORLD_SIZE'] + '\\n').encode())"
    status, out, err = job.run(script, env)

    assert (status, sorted(out.splitlines())) == (0, ["0 3", "1 3", "2 3"])
    assert err == "vertex-training: torchrun: node 0 of 1, with 3 processes each\n"


@pytest.mark.parametrize("outputs", [(), ("out",)])
def test_signals_reach_every_process(job, launcher: Path, outputs: tuple[str, ...]) -> None:
    """SIGTERM to the machine's first process ends each rank as it likes, with and without outputs to save."""
    script = "import os, signal; signal.signal(15, lambda *_: (os.write(1, b'saved\\n'), os._exit(5)));"
    script += "os.write(1, b'ready\\n'); signal.pause()"
    env = job.env(outputs, **encode(Launch("torchrun", 2, 1)))
    with job.start(script, env) as process:
        assert [process.stdout.readline() for _ in range(2)] == ["ready\n"] * 2
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)

    assert (process.returncode, out) == (5, "saved\n" * 2)


def test_sigterm_while_waiting(job, launcher: Path) -> None:
    """A machine that waits for the others ends at once, with the status of SIGTERM."""
    (port,) = free_ports(1)
    with job.start(SAY, node_env(job, [port, *free_ports(1)], 0)) as process:
        host, _, number = port.rpartition(":")
        for _ in range(600):
            try:
                socket.create_connection((host, int(number)), timeout=1).close()
                break
            except OSError:
                signal.sigtimedwait([], 0.05)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)

    assert process.returncode == 143


def test_a_launcher_that_is_not_installed(job) -> None:
    """The package, the Python and what to do, in one line; so is a command that starts a launcher itself."""
    bare = job.env((), **encode(Launch("torchrun", 2, 1)))
    status, out, err = job.run(SAY, bare)
    assert (status, out) == (1, "")
    assert err == (
        'vertex-training: launcher: launcher = "torchrun" needs the package torch, which '
        f"{sys.executable} doesn't have: add it to the requirements\n"
    )
    words = job.command("torchrun", "train.py")
    own = subprocess.run(words, env=bare, cwd=job.work, capture_output=True, text=True, check=False)
    assert "the command starts torchrun itself" in own.stderr


def test_an_evaluator_runs_the_script_itself(job) -> None:
    """A machine without a rank needs no launcher."""
    env = job.env((), CLUSTER_SPEC=spec({**POOLS, "workerpool3": ["e:1"]}, "workerpool3", 0), RANK="4")
    status, out, _ = job.run("import os; print(os.environ['RANK'])", {**env, **encode(Launch("torchrun", 2, 1))})

    assert (status, out) == (0, "4\n")
