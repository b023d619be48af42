"""The build context that is sent to the engine: the project's folder by Docker's rules, or exactly the project's files.

The archive depends only on names, contents and executable bits, not on owner, umask and times. So its hash says on any
machine whether a build would have new inputs.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from ...core.dockerignore import DockerIgnore
from ...core.errors import DockerError
from ..oci.image_types import ImageRequest
from .dockerfile_render import REQUIREMENTS, WHEELS, pip_requirements, render

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# 1980: builds may write these times into wheels, which are zip files and have no earlier ones.
_MTIME = 315532800


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    source: Path | bytes


def dockerfile_text(request: ImageRequest) -> str:
    """The text of the project's own Dockerfile, or of the rendered one.

    Raises:
        DockerError: It can't be read.
    """
    if request.dockerfile is None:
        return render(request)
    try:
        return request.dockerfile.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DockerError(
            "can't read the Dockerfile", where=request.dockerfile, next_step="Make it readable UTF-8 text"
        ) from error


def dockerfile_name(request: ImageRequest) -> str:
    """The path of the Dockerfile in the context.

    Raises:
        DockerError: The Dockerfile is outside the project.
    """
    if request.dockerfile is None:
        return "Dockerfile"
    try:
        return request.dockerfile.absolute().relative_to(request.root.absolute()).as_posix()
    except ValueError:
        raise DockerError(
            "the Dockerfile is outside the project",
            where=request.dockerfile,
            next_step=f"Move it into {request.root}",
        ) from None


def write_context(request: ImageRequest, sink: IO[bytes]) -> None:
    """Writes the context as a tar archive.

    Raises:
        DockerError: A file can't be read.
    """
    # BuildKit recognizes an archive by the header in its first kilobyte, where PAX has another one.
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.GNU_FORMAT) as archive:
        for entry in _entries(request):
            try:
                _add(archive, entry)
            except OSError as error:
                raise DockerError(
                    f"can't read a file of the build's context: {error.strerror or error}",
                    where=entry.source if isinstance(entry.source, Path) else entry.name,
                    next_step="Make it readable, or name it in .dockerignore",
                ) from error


def context_digest(request: ImageRequest) -> str:
    """SHA-256 of everything that a project gives to its build, hexadecimal: context, arguments, stage."""
    hashed = _Hash()
    write_context(request, cast("IO[bytes]", hashed))
    settings = [dockerfile_name(request), request.target or ""]
    settings += [f"{name}={value}" for name, value in sorted(request.build_args.items())]
    hashed.write("\0".join(settings).encode())
    return hashed.state.hexdigest()


class _Hash(io.RawIOBase):
    def __init__(self) -> None:
        super().__init__()
        self.state = hashlib.sha256()

    def write(self, data: ReadableBuffer, /) -> int:
        self.state.update(data)
        return memoryview(data).nbytes


def _entries(request: ImageRequest) -> Iterator[_Entry]:
    text = dockerfile_text(request)
    if request.dockerfile is None:
        yield _Entry("Dockerfile", text.encode())
        yield from (_Entry(file.path, file.source) for file in request.files if file.path != "Dockerfile")
    else:
        yield from (_Entry(name, request.root / name) for name in context_names(request))
    # A rendered Dockerfile that was saved as the project's own still needs the frozen dependencies.
    requirements = pip_requirements(request.lock)
    if requirements.text and REQUIREMENTS in text and not (request.root / REQUIREMENTS).exists():
        yield _Entry(REQUIREMENTS, requirements.text.encode())
        yield from (_Entry(f"{WHEELS}/{path.name}", request.root / path) for path in requirements.wheels)


def context_names(request: ImageRequest) -> Sequence[str]:
    """The files, folders and links in the context of the project's own Dockerfile, sorted: those not in .dockerignore.

    Raises:
        DockerError: .dockerignore has a line that Docker refuses.
    """
    name = dockerfile_name(request)
    try:
        rules = DockerIgnore([*_ignore_lines(request.root, name), f"!{name}"])
    except ValueError as error:
        raise DockerError(
            f"not a pattern: {error}", where=request.root / ".dockerignore", next_step="Correct that line"
        ) from None
    return sorted(_walk(str(request.root), "", rules))


def _walk(folder: str, prefix: str, rules: DockerIgnore) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = prefix + entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            ignored = rules.ignores(path)
            if not ignored:
                yield path
            if is_folder and (not ignored or rules.may_keep_below(path)):
                yield from _walk(entry.path, path + "/", rules)


def _ignore_lines(root: Path, dockerfile: str) -> list[str]:
    # Docker prefers an ignore file that is named after the Dockerfile.
    for path in (root / f"{dockerfile}.dockerignore", root / ".dockerignore"):
        if path.is_file():
            return path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    return []


def _add(archive: tarfile.TarFile, entry: _Entry) -> None:
    if isinstance(entry.source, bytes):
        member = tarfile.TarInfo(entry.name)
        member.size, member.mtime = len(entry.source), _MTIME
        archive.addfile(member, io.BytesIO(entry.source))
        return
    status = entry.source.lstat()
    member = tarfile.TarInfo(entry.name)
    member.mtime = _MTIME
    member.mode = 0o755 if stat.S_ISDIR(status.st_mode) or status.st_mode & stat.S_IXUSR else 0o644
    if stat.S_ISLNK(status.st_mode):
        member.type, member.linkname = tarfile.SYMTYPE, entry.source.readlink().as_posix()
        archive.addfile(member)
    elif stat.S_ISDIR(status.st_mode):
        member.type = tarfile.DIRTYPE
        archive.addfile(member)
    elif stat.S_ISREG(status.st_mode):  # sockets and pipes are left out
        with entry.source.open("rb") as file:
            member.size = status.st_size
            archive.addfile(member, file)
