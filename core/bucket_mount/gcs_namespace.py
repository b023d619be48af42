"""Runs a program that sees a folder of this machine as /gcs, in a mount namespace of its own. Linux only.

    python -I -S gcs_namespace.py BUCKETS ROOT PROGRAM [ARGUMENT ...]

BUCKETS becomes /gcs, ROOT is an empty folder for the new root. Nothing is made in this machine's own root: the new root
is a file system in memory into which every entry of the old one is bound. This is a program of its own, because a
process with threads can't change its namespaces. It must start fast, so it imports no pathlib.

https://man7.org/linux/man-pages/man7/mount_namespaces.7.html
"""

# ruff: noqa: PTH102, PTH109, PTH115, PTH208, PTH211

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import sys

_NEW_MOUNTS, _NEW_USER = 0x00020000, 0x10000000
_READ_ONLY, _REMOUNT, _BIND, _RECURSIVE, _PRIVATE = 1, 32, 4096, 16384, 1 << 18
_DETACH = 2
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

libc = ctypes.CDLL(None, use_errno=True)


def main(arguments: list[str]) -> None:
    """Changes the namespace, then becomes the program.

    Raises:
        OSError: The kernel refuses a step, or the program can't be started.
    """
    buckets, root, *program = arguments
    enter(buckets, root)
    os.execvp(program[0], program)  # noqa: S606 - that is what this program is for


def enter(buckets: str, root: str) -> None:
    """Changes this process's namespace; it must have one thread only. The working directory stays.

    Args:
        buckets: The folder that becomes /gcs.
        root: An empty folder for the new root.

    Raises:
        OSError: The kernel refuses a step.
    """
    folder = os.getcwd()
    _leave_mounts()
    _new_root(buckets, root)
    os.chdir(folder)


def _leave_mounts() -> None:
    """Enters a mount namespace. Root needs no user namespace, in which other users' numbers would be missing."""
    user, group = os.getuid(), os.getgid()
    try:
        _call(libc.unshare(_NEW_MOUNTS))
    except PermissionError:
        _call(libc.unshare(_NEW_MOUNTS | _NEW_USER))
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{user} {user} 1")
        _write("/proc/self/gid_map", f"{group} {group} 1")
    _mount("none", "/", _RECURSIVE | _PRIVATE)


def _new_root(buckets: str, root: str) -> None:
    _mount("none", root, 0, "tmpfs")
    inside = os.path.realpath(root).split("/")[1]
    # The folder that holds the new root comes first, while that has nothing bound to it yet.
    for name in sorted(set(os.listdir("/")) - {"gcs"}, key=lambda name: name != inside):
        _bind(f"/{name}", f"{root}/{name}")
    os.mkdir(f"{root}/gcs")
    _mount(buckets, f"{root}/gcs", _BIND | _RECURSIVE)
    os.chdir(root)
    _call(libc.syscall(_PIVOT_ROOT[os.uname().machine], b".", b"."))
    _call(libc.umount2(b".", _DETACH))
    os.chdir("/")
    _mount("none", "/", _REMOUNT | _BIND | _READ_ONLY)


def _bind(source: str, target: str) -> None:
    """Binds an entry of the old root; a link is made again. A folder that can't be bound is left out."""
    with contextlib.suppress(PermissionError):
        mode = os.lstat(source).st_mode
        if stat.S_ISLNK(mode):
            os.symlink(os.readlink(source), target)
            return
        if stat.S_ISDIR(mode):
            os.mkdir(target)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o600))
        _mount(source, target, _BIND | _RECURSIVE)


def _mount(source: str, target: str, flags: int, kind: str | None = None) -> None:
    _call(libc.mount(os.fsencode(source), os.fsencode(target), kind and kind.encode(), flags, None))


def _call(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _write(path: str, text: str) -> None:
    handle = os.open(path, os.O_WRONLY)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as error:
        # As a shell reports a program that can't be started.
        os.write(2, f"{sys.argv[3] if len(sys.argv) > 3 else ''}: {error.strerror}\n".encode())
        sys.exit(126)
