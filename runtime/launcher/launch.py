"""Replaces a job's command by that of its launcher, once all nodes are there."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from types import FrameType
from typing import Callable, List, MutableMapping, Optional, Sequence

from .launcher_variable import Launch
from .node import Node, count, find_node
from .start_barrier import RanksDidNotMeet, meet

SECONDS = "VERTEX_TRAINING_BARRIER_SECONDS"
"""How long nodes wait for each other."""
_SECONDS = 900.0
_PYTHON = re.compile(r"python(\d+(\.\d+)?)?$")
_OWN_LAUNCHERS = ("torchrun", "accelerate", "deepspeed", "horovodrun", "mpirun")
_MODULES = {"torchrun": "torch.distributed.run", "accelerate": "accelerate.commands.launch"}
_STOPPED = 128 + signal.SIGTERM


class LaunchFailed(Exception):
    """The script can't be started; the message says why and what to do."""


def launched(
    words: Sequence[str], launch: Launch, environ: MutableMapping[str, str], say: Callable[[str], None]
) -> List[str]:
    """The command to run in place of the script's own; returns when all nodes of the job are there.

    Args:
        words: The script's command.
        launch: The launcher and the number of processes.
        environ: This process's variables, which the command gets; those of the ranks are changed.
        say: Writes a line to the job's log.

    Raises:
        LaunchFailed: The launcher isn't installed, or not all nodes arrived.
    """
    try:
        node = find_node(environ)
    except ValueError as error:
        raise LaunchFailed(str(error)) from None
    if node is None:
        return list(words)
    if os.path.basename(words[0]) in _OWN_LAUNCHERS:
        text = "the command starts %s itself: remove it from the command, or set launcher to none"
        raise LaunchFailed(text % os.path.basename(words[0]))
    python = _python(words)
    _require(python, launch.launcher)
    gpus = gpu_count(environ)
    processes = launch.processes or gpus or launch.without_gpu
    _wait_for_all(node, environ)
    place = " that meet at %s" % node.addresses[0] if node.addresses else ""
    text = "%s: node %d of %d, with %d process%s each%s"
    say(text % (launch.launcher, node.rank, count(node), processes, "es" * (processes != 1), place))
    _change_variables(environ, node, on_cpu=launch.launcher == "accelerate" and not gpus)
    arguments = _torchrun(node, processes, environ)
    if launch.launcher == "accelerate" and gpus:
        arguments = _accelerate(node, processes)
        return [python, "-m", _MODULES["accelerate"], *arguments, "--no_python", *words]
    return [python, "-m", _MODULES["torchrun"], *arguments, "--no_python", *words]


def gpu_count(environ: MutableMapping[str, str]) -> int:
    """How many GPUs the script may use on this machine."""
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([name for name in visible.split(",") if name.strip() not in ("", "-1", "NoDevFiles")])
    try:
        return len([name for name in os.listdir("/dev") if re.match(r"nvidia\d+$", name)])
    except OSError:
        return 0


def _python(words: Sequence[str]) -> str:
    """The Python that has the launcher's package: the one that the command starts, else this one."""
    if _PYTHON.match(os.path.basename(words[0])):
        found = shutil.which(words[0])
        if found:
            return found
    return sys.executable


def _require(python: str, launcher: str) -> None:
    """Checks for the packages in the script's own Python, which sees more folders than this one."""
    needed = ["torch"] if launcher == "torchrun" else ["torch", "accelerate"]
    code = "import importlib.util as u, sys; print([n for n in sys.argv[1:] if u.find_spec(n) is None][:1])"
    try:
        answer = subprocess.check_output([python, "-c", code, *needed], stderr=subprocess.STDOUT)
    except (OSError, subprocess.CalledProcessError) as error:
        raise LaunchFailed("%s can't be started: %s" % (python, error)) from None
    for name in needed:
        if "'%s'" % name in answer.decode("utf-8", "replace"):
            text = 'launcher = "%s" needs the package %s, which %s doesn\'t have: add it to the requirements'
            raise LaunchFailed(text % (launcher, name, python))


def _wait_for_all(node: Node, environ: MutableMapping[str, str]) -> None:
    text = environ.get(SECONDS, "")
    try:
        seconds = float(text) if text else _SECONDS
    except ValueError:
        raise LaunchFailed("%s must be a number of seconds, not %s" % (SECONDS, text)) from None
    before = signal.signal(signal.SIGTERM, _stop)  # the first process of a container has no default for signals
    try:
        meet(node, environ.get("CLOUD_ML_JOB_ID") or "job", seconds)
    except (RanksDidNotMeet, ValueError) as error:
        raise LaunchFailed(str(error)) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(_number: int, _frame: Optional[FrameType]) -> None:
    sys.exit(_STOPPED)


def _change_variables(environ: MutableMapping[str, str], node: Node, *, on_cpu: bool) -> None:
    """Vertex AI's RANK and WORLD_SIZE count machines: a process that took them for its own would wait for ever."""
    for name in ("RANK", "WORLD_SIZE"):
        environ.pop(name, None)
    environ["NODE_RANK"] = str(node.rank)
    environ["PYTHONUNBUFFERED"] = "1"
    if on_cpu:
        environ["ACCELERATE_USE_CPU"] = "true"


def _torchrun(node: Node, processes: int, environ: MutableMapping[str, str]) -> List[str]:
    own = ["--nnodes=%d" % count(node), "--nproc_per_node=%d" % processes]
    if not node.addresses:
        return ["--standalone", *own]
    meeting = ["--rdzv_backend=static", "--rdzv_endpoint=%s" % node.addresses[0]]
    job = "--rdzv_id=%s" % (environ.get("CLOUD_ML_JOB_ID") or "job")
    return [*own, "--node_rank=%d" % node.rank, *meeting, job]


def _accelerate(node: Node, processes: int) -> List[str]:
    whole = processes * count(node)
    own = ["--num_processes=%d" % whole, "--num_machines=%d" % count(node), "--machine_rank=%d" % node.rank]
    own += ["--dynamo_backend=no", *(["--multi_gpu"] if whole > 1 else [])]
    if not node.addresses:
        return own
    host, _, port = node.addresses[0].rpartition(":")
    return [*own, "--main_process_ip=%s" % host, "--main_process_port=%s" % port]
