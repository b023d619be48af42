"""Records which files of its project a Python process asks for in vain; copied as `sitecustomize.py` for the local run.

Python imports `sitecustomize` at its start. Beside the copy, `root` holds the project's folder, and paths are added to
`asked`, one a line; a folder that is listed ends in "/". `made` gets the files elsewhere that it opens to write, and
`addresses` the URLs and hosts of the network that it asks for.

This runs in the project's own Python, so it uses the standard library only, works with Python 3.7, and never raises an
error.
"""

# ruff: noqa: PTH100, PTH118, PTH120, PTH123 - pathlib and typing would be imported before the script starts

from __future__ import annotations

import contextlib
import functools
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MOST = 5000
_LISTING = {"os.listdir", "os.scandir"}


class _Recorder:
    """Notes paths below the project's folder, each once."""

    def __init__(self, here: str) -> None:
        with open(os.path.join(here, "root"), encoding="utf-8") as file:
            self._root = file.read() + os.sep
        self._target, self._made = os.path.join(here, "asked"), os.path.join(here, "made")
        self._addresses = os.path.join(here, "addresses")
        self._seen: set[str] = set()
        self._stat = os.stat

    def note(self, path: object, end: str = "", *, unless_there: bool = False) -> None:
        """Notes a path; with `unless_there` only one that does not exist. An open file has a number and no path."""
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        with contextlib.suppress(Exception):  # whatever happens here, the script must run as without it
            full = os.path.abspath(os.fsdecode(path)) + end
            is_new = full.startswith(self._root) and full not in self._seen and len(self._seen) < _MOST
            if is_new and not (unless_there and self._exists(full)):
                self._seen.add(full)
                self._write(self._target, full[len(self._root) :])

    def note_made(self, path: object) -> None:
        """Notes a path outside of the project's folder that is opened to write."""
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        with contextlib.suppress(Exception):
            full = os.path.abspath(os.fsdecode(path))
            if not full.startswith(self._root) and full not in self._seen and len(self._seen) < _MOST:
                self._seen.add(full)
                self._write(self._made, full)

    def note_address(self, address: str) -> None:
        """Notes a URL, or a host with its port."""
        with contextlib.suppress(Exception):
            if address not in self._seen and len(self._seen) < _MOST:
                self._seen.add(address)
                self._write(self._addresses, address.replace("\n", " "))

    def _exists(self, path: str) -> bool:
        try:
            self._stat(path)
        except OSError:
            return False
        return True

    @staticmethod
    def _write(target: str, path: str) -> None:
        opened = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(opened, os.fsencode(path + "\n"))  # one call, so that processes don't mix their lines
        finally:
            os.close(opened)

    def audit(self, event: str, details: tuple[Any, ...]) -> None:
        """Python's audit hook: https://docs.python.org/3/library/audit_events.html."""
        if event == "open":
            if (details[2] or 0) & os.O_CREAT:
                self.note_made(details[0])
            else:
                self.note(details[0], unless_there=True)
        elif event in _LISTING and not _in_import():
            self.note("." if details[0] is None else details[0], os.sep)
        elif event == "urllib.Request":
            self.note_address(str(details[0]))
        elif event == "socket.getaddrinfo" and details[0]:
            host = details[0].decode("ascii", "replace") if isinstance(details[0], bytes) else str(details[0])
            self.note_address(f"{host}:{details[1]}" if details[1] else host)


class _Stat:
    """In place of os.stat. It is no function, because a class that keeps one binds it: pathlib's until Python 3.9."""

    def __init__(self, real: Any, recorder: _Recorder) -> None:  # noqa: ANN401 - the function it replaces
        self._real, self._recorder = real, recorder
        functools.update_wrapper(self, real)

    def __call__(self, path: Any, *args: Any, **options: Any) -> os.stat_result:  # noqa: ANN401 - as that function
        try:
            return self._real(path, *args, **options)
        except OSError:
            self._recorder.note(path)
            raise


def _in_import() -> bool:
    """Whether Python's own import made the call: it lists the folders of modules."""
    return sys._getframe(2).f_code.co_filename.startswith("<frozen importlib")  # noqa: SLF001


def _install(here: str) -> None:
    recorder, real = _Recorder(here), os.stat
    stat = _Stat(real, recorder)
    for known in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
        if real in known:
            known.add(stat)
    os.stat = stat  # no audit event tells of it
    if hasattr(sys, "addaudithook"):  # since Python 3.8
        sys.addaudithook(recorder.audit)


def _run_next(here: str) -> None:
    """Runs the `sitecustomize` of the environment, which this one hides."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    sys.path[:] = [path for path in sys.path if path != here]
    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(module_from_spec(spec))


if __name__ == "sitecustomize":
    _here = os.path.dirname(os.path.abspath(__file__))
    with contextlib.suppress(Exception):
        _install(_here)
    _run_next(_here)
