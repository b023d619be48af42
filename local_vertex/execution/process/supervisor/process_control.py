"""Starts, identifies and ends processes of this machine."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from .protocol import MARK, SIGNAL_BASE

PROC = Path("/proc")
"""Where Linux shows its processes; other systems have no such folder."""

_NAMESPACE = Path(__file__).resolve().parents[4] / "core" / "bucket_mount" / "gcs_namespace.py"
_BEFORE_PROGRAM = 6  # words before a program that sees the buckets: a Python, -I, -S, the path above, two folders
_NOT_STARTED = 126  # exit status, as of a shell

_PR_SET_CHILD_SUBREAPER = 36
_PS_SECONDS = 10


def become_subreaper() -> None:
    """Makes this process the parent of all orphaned descendants, where the kernel can do that."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def spawn(folder: Path, argv: list[str], env: dict[str, str], cwd: str) -> int:
    """Starts a process as the leader of a session; its output goes to files, so no reader is needed.

    Args:
        folder: The folder for the files `stdout` and `stderr`.
        argv: The command line.
        env: The whole environment.
        cwd: The working directory.

    Raises:
        OSError: The program can't be started.
    """
    namespace, program = _namespace_of(argv)
    out, err = (os.open(folder / name, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600) for name in ("stdout", "stderr"))
    try:
        process = subprocess.Popen(
            program,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
            umask=0o022,
            preexec_fn=namespace,  # noqa: PLW1509 - the supervisor has one thread
        )
    finally:
        os.close(out)
        os.close(err)
    process.returncode = 0  # so that `subprocess` doesn't wait for it: the supervisor does
    return process.pid


def _namespace_of(argv: list[str]) -> tuple[Callable[[], None] | None, list[str]]:
    """What a process does before its program, and the program's command line.

    A command line that shows a program the buckets below /gcs begins with a Python, whose start takes longer than all
    else that a short job does. The process that is about to become that Python does its work, without starting it.
    """
    if argv[1:4] != ["-I", "-S", str(_NAMESPACE)] or len(argv) <= _BEFORE_PROGRAM:
        return None, argv
    buckets, root, *program = argv[4:]
    enter = _load_namespace().enter

    def change() -> None:
        try:
            enter(buckets, root)
        except OSError as error:  # reported as by the program itself
            os.write(2, f"{program[0]}: {error.strerror}\n".encode())
            os._exit(_NOT_STARTED)

    return change, program


@functools.cache
def _load_namespace() -> ModuleType:
    # By its path: this process finds no other modules of this package.
    spec = importlib.util.spec_from_file_location(_NAMESPACE.stem, _NAMESPACE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def kill(pid: int, number: int) -> None:
    """Sends a signal; does nothing if the process is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def kill_group(pid: int) -> None:
    """Sends SIGKILL to a process group; does nothing if it is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def identity(pid: int) -> str:
    """Identifies a process for good, which its number alone doesn't: boot id, number, start time in kernel ticks."""
    return f"{_boot_id()} {pid} {_start_time(pid)}"


def kill_group_of(identity_text: str) -> None:
    """Ends the process group of a process, if that process still runs.

    Args:
        identity_text: As `identity` returns it; other text is ignored.
    """
    parts = identity_text.split()
    known = len(parts) == 3 and parts[1].isdecimal() and parts[2] != "-"
    if known and identity(int(parts[1])).split() == parts:
        kill_group(int(parts[1]))


def next_dead() -> tuple[int, int] | None:
    """A child that has ended: its number and its exit status, 128 + N after signal N; None if none has.

    Where the system can do that, the number, which is also its group's, stays in use until `release`.
    """
    try:
        if not hasattr(os, "waitid"):  # macOS, before Python 3.13
            pid, status = os.waitpid(-1, os.WNOHANG)
            code = os.waitstatus_to_exitcode(status)
            return (pid, code if code >= 0 else SIGNAL_BASE - code) if pid else None
        dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    if dead is None:
        return None
    return dead.si_pid, dead.si_status if dead.si_code == os.CLD_EXITED else SIGNAL_BASE + dead.si_status


def release(pid: int) -> None:
    """Lets the number of a dead child be used again."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def children() -> list[int]:
    """The children of this process.

    Only a subreaper, on Linux, has children that it didn't start; elsewhere none need to be found.
    """
    try:
        return [int(pid) for pid in (PROC / f"self/task/{os.getpid()}/children").read_text().split()]
    except OSError:
        return []


def run_folder(pid: int) -> str:
    """The folder of the run that a process belongs to, from its environment; empty if unknown."""
    try:
        variables = (PROC / f"{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    prefix = f"{MARK}=".encode()
    return next((os.fsdecode(v.removeprefix(prefix)) for v in variables if v.startswith(prefix)), "")


def _boot_id() -> str:
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "-"


def _start_time(pid: int) -> str:
    try:
        return (PROC / f"{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except IndexError:
        return "-"
    except OSError:
        return "-" if PROC.exists() else _start_time_of_ps(pid)


def _start_time_of_ps(pid: int) -> str:
    """When a process started, to the second, where there is no /proc: as on macOS."""
    try:
        done = subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(pid)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PS_SECONDS,
            check=False,
            env={"LC_ALL": "C", "PATH": "/bin:/usr/bin"},
        )
    except (OSError, subprocess.SubprocessError):
        return "-"
    return "_".join(done.stdout.decode(errors="replace").split()) or "-"
