"""The programs that a job without a container finds by name: its own, and those that every small Linux image has.

The machine's own programs stay out of its reach: a script that calls `pip` or `git` by name would change this machine,
and would find something else in the cloud.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

# What Debian's "essential" packages hold, the base of python:slim; and the program that asks for a machine's GPUs,
# which Vertex AI adds to a container.
_NAMES = (
    *("sh", "bash", "dash", "env", "true", "false", "test", "[", "expr", "echo", "printf", "pwd", "sleep", "date"),
    *("cat", "cp", "mv", "rm", "ln", "ls", "mkdir", "rmdir", "touch", "chmod", "chown", "chgrp", "dd", "df", "du"),
    *("stat", "sync", "truncate", "mktemp", "mkfifo", "readlink", "realpath", "basename", "dirname", "install"),
    *("head", "tail", "sort", "uniq", "wc", "cut", "paste", "join", "comm", "tr", "tee", "seq", "split", "csplit"),
    *("fold", "fmt", "nl", "od", "tac", "shuf", "numfmt", "expand", "unexpand", "base32", "base64", "cksum", "sum"),
    *("md5sum", "sha1sum", "sha224sum", "sha256sum", "sha384sum", "sha512sum", "b2sum"),
    *("id", "whoami", "groups", "uname", "arch", "hostname", "nproc", "getconf", "logname", "tty", "stty"),
    *("nohup", "nice", "timeout", "stdbuf", "kill", "yes", "xargs", "find", "grep", "egrep", "fgrep", "sed", "awk"),
    *("mawk", "gawk", "diff", "cmp", "diff3", "sdiff", "tar", "gzip", "gunzip", "zcat", "zgrep", "which"),
    *("setsid", "flock", "getopt", "taskset", "renice"),
    "nvidia-smi",
)
_SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class LinkedPrograms:
    """A folder with links to those programs of this machine. Threads may share it.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: set[str] = set()

    def ready(self) -> Path:
        """The folder; made where it, or a link in it, is missing.

        Raises:
            OSError: It can't be made.
        """
        # Each program is looked at once for a service: there are more than a hundred, and jobs come by the thousand.
        with contextlib.suppress(FileNotFoundError):
            if self._names and self._names.issubset(_entries(self._folder)):
                return self._folder
        _link(self._folder)
        self._names = _entries(self._folder)
        return self._folder


def _entries(folder: Path) -> set[str]:
    with os.scandir(folder) as found:
        return {entry.name for entry in found}


def _link(folder: Path) -> None:
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    for name in _NAMES:
        link = folder / name
        if not link.exists() and (program := shutil.which(name, path=_SYSTEM)):
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                if link.is_symlink():
                    link.unlink()  # the program has moved
                link.symlink_to(program)


def job_path(wanted: str, own: Iterable[Path], programs: Path) -> str:
    """The variable PATH of a job.

    Args:
        wanted: The PATH of its image or spec, with paths of this machine.
        own: The folders that belong to the job; other parts of its PATH are left out.
        programs: As `LinkedPrograms.ready` returns it; the last part.
    """
    roots = [os.path.normpath(root) for root in own]
    kept = [part for part in wanted.split(os.pathsep) if part and _is_below(os.path.normpath(part), roots)]
    return os.pathsep.join([*dict.fromkeys(kept), str(programs)])


def _is_below(path: str, roots: Sequence[str]) -> bool:
    return any(path == root or path.startswith(f"{root}{os.sep}") for root in roots)
