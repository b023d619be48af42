"""Runs a built image once in its Docker engine, and brings back what it wrote.

Nothing is mounted: folders go into the container and come back through the engine's API, so that an engine on another
machine works as well, and no file of this machine gets another owner.
"""

from __future__ import annotations

import io
import os
import posixpath
import queue
import tarfile
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..oci.image_types import PLATFORM
from .engine_errors import engine_errors

if TYPE_CHECKING:
    from docker import DockerClient

OUTPUTS = "/vertex-training-outputs"
"""The folder in the container that stands for the job's output."""

_KEPT = 200
_POLL = 0.1
_ADDED, _MODIFIED = 1, 0  # kinds in the engine's list of changes
_SYSTEM = ("/proc", "/sys", "/dev", "/run", "/var", "/tmp", "/etc", "/root", "/usr", OUTPUTS)  # noqa: S108
"""Folders that are nobody's working directory, for an image whose working directory is the root."""


@dataclass(frozen=True, slots=True)
class TrialEnd:
    """How a container ended.

    Attributes:
        code: Its exit code; None if it exceeded the time limit.
        seconds: Running time.
        tail: Its last lines of output, oldest first.
    """

    code: int | None
    seconds: float
    tail: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """What is run in the image.

    Attributes:
        image: The image's id in the engine.
        command: In place of its ENTRYPOINT; empty keeps it.
        args: In place of its CMD; empty keeps it.
        env: Variables.
        outputs: A folder of this machine: its folders exist in the container at `OUTPUTS`, and what the container
            writes there is in it afterwards.
        changed: An empty folder of this machine: gets what the container wrote in its working directory.
        timeout: Time limit, in seconds.
        reminder: A number of seconds, and what to call once when the container still runs after them.
        data: Files and folders of this machine that are copied into the container, by their path there; a relative
            path begins at its working directory.
    """

    image: str
    command: Sequence[str]
    args: Sequence[str]
    env: Mapping[str, str]
    outputs: Path
    changed: Path
    timeout: float
    reminder: tuple[float, Callable[[], None]] | None = None
    data: Mapping[str, Path] = field(default_factory=dict)
    clock: Callable[[], float] = field(default=time.monotonic)


def run_trial(engine: DockerClient, trial: Trial, log: Callable[[str], None]) -> TrialEnd:
    """Runs the image until it ends or exceeds its time limit; the container is gone afterwards, however this ends.

    Raises:
        DockerError: No engine answers, or it can't start the image.
    """
    with engine_errors("to run the image"):
        api: Any = engine.api
        container = api.create_container(
            trial.image,
            command=list(trial.args) or None,
            entrypoint=list(trial.command) or None,
            environment=dict(trial.env),
            platform=PLATFORM,
        )["Id"]
        try:
            api.put_archive(container, "/", _folders(trial.outputs))
            _copy_data(api, container, trial.data)
            begin = trial.clock()
            api.start(container)
            tail: deque[str] = deque(maxlen=_KEPT)
            in_time = _follow(api, container, trial, begin, lambda line: (tail.append(line), log(line)))
            seconds = trial.clock() - begin
            code = api.inspect_container(container)["State"]["ExitCode"] if in_time else None
            if code is not None:
                _fetch(api, container, OUTPUTS, trial.outputs.parent, trial.outputs.name)
                _fetch_changes(api, container, trial.changed)
            return TrialEnd(code, seconds, tuple(tail))
        finally:
            api.remove_container(container, v=True, force=True)


def _folders(outputs: Path) -> bytes:
    """An archive of the folders, which any user may write."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder, _, _ in os.walk(outputs):
            place = os.path.relpath(folder, outputs)
            member = tarfile.TarInfo(posixpath.normpath(posixpath.join(OUTPUTS.lstrip("/"), place)))
            member.type, member.mode = tarfile.DIRTYPE, 0o777
            archive.addfile(member)
    return buffer.getvalue()


def _copy_data(api: Any, container: str, data: Mapping[str, Path]) -> None:  # noqa: ANN401
    """Copies the data into the container, where every user can read it."""
    top = api.inspect_container(container)["Config"]["WorkingDir"] or "/"

    def readable(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.mode |= 0o555 if member.isdir() else 0o444
        member.uid = member.gid = 0
        return member

    for place, source in data.items():
        with tempfile.TemporaryFile() as file:
            with tarfile.open(fileobj=file, mode="w", dereference=True) as archive:
                archive.add(source, posixpath.normpath(posixpath.join(top, place)).lstrip("/"), filter=readable)
            file.seek(0)
            api.put_archive(container, "/", file)


def _follow(api: Any, container: str, trial: Trial, begin: float, log: Callable[[str], object]) -> bool:  # noqa: ANN401
    """Passes the output on, line by line, until the container ends; False if it exceeds the time limit."""
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(api, container, lines), daemon=True).start()
    waiting = [trial.reminder] if trial.reminder else []
    while (now := trial.clock()) - begin < trial.timeout:
        if waiting and now - begin >= waiting[0][0]:
            waiting.pop()[1]()
        try:
            line = lines.get(timeout=_POLL)
        except queue.Empty:
            continue
        if line is None:
            api.wait(container)
            return True
        log(line)
    return False


def _read(api: Any, container: str, lines: queue.Queue[str | None]) -> None:  # noqa: ANN401
    """Puts the lines of the container's output into the queue, then None."""
    rest = b""
    try:
        for data in api.logs(container, stream=True, follow=True):
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                lines.put(_text(line))
    finally:  # also when the container was removed at its time limit
        if rest:
            lines.put(_text(rest))
        lines.put(None)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2]


def _fetch_changes(api: Any, container: str, target: Path) -> None:  # noqa: ANN401
    """Brings what the container added or changed below its working directory, in the same folders below `target`."""
    top = (api.inspect_container(container)["Config"]["WorkingDir"] or "/").rstrip("/")
    changes = [(item["Path"], item["Kind"]) for item in api.diff(container) or ()]
    inside = [(path, kind) for path, kind in changes if path.startswith(f"{top}/")]
    if not top:
        inside = [(path, kind) for path, kind in inside if not path.startswith(_SYSTEM)]
    added = {path for path, kind in inside if kind == _ADDED}
    parents = {posixpath.dirname(path) for path, _ in inside}
    for path, kind in inside:
        whole = kind == _ADDED and posixpath.dirname(path) not in added
        if whole or (kind == _MODIFIED and path not in parents):
            relative = path.removeprefix(f"{top}/")
            _fetch(api, container, path, target / posixpath.dirname(relative), posixpath.basename(relative))


def _fetch(api: Any, container: str, path: str, parent: Path, name: str) -> None:  # noqa: ANN401
    """Copies a file or folder of the container to `parent/name`; links and devices that lead out are left out."""
    stream, _ = api.get_archive(container, path)
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile() as file:
        for block in stream:
            file.write(block)
        file.seek(0)
        with tarfile.open(fileobj=file) as archive:
            for member in _safe(archive, posixpath.basename(path), name):
                archive.extract(member, parent, filter="data")


def _safe(archive: tarfile.TarFile, was: str, name: str) -> Iterator[tarfile.TarInfo]:
    for member in archive:
        if member.isfile() or member.isdir():
            yield member.replace(name=f"{name}{member.name.removeprefix(was)}", deep=False)
