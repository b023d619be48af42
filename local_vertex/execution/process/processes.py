"""Replicas as processes of this machine, over the unpacked layers of an image that brings no system of its own."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path

from ....core.errors import ImageError, StorageError, storage_errors
from ..attempt import Attempt
from ..context import Context
from ..environment import command_line, output_folders
from ..log_stream import FileTail, Stream
from ..replica import Exit, Replica
from .path_mapping import Translator, bucket_folder

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DESCRIBED = frozenset(("CLUSTER_SPEC", "TF_CONFIG"))  # JSON that quotes the job as it was sent
_RETRY_SECONDS = 1.0


class Processes:
    """Runs an attempt's replicas as processes."""

    def __init__(self, context: Context, attempt: Attempt) -> None:
        self._context = context
        self._attempt = attempt

    def replica(self, name: str, number: int) -> Replica:
        """A run of a replica."""
        return _Process(self._context, self._attempt, name, number)

    async def clean(self) -> None:
        """Nothing: the job's folder goes with the job."""


class _Process:
    def __init__(self, context: Context, attempt: Attempt, name: str, number: int) -> None:
        self._context = context
        self._attempt = attempt
        self._name = name
        self._run = f"{attempt.job_id}/{attempt.number}-{name}.{number}"
        self._folder = context.runs / self._run
        self._tails: list[FileTail] = []

    async def start(self) -> bool:
        """Prepares and starts it, unless that was done before."""
        argv: list[str] = []
        env: dict[str, str] = {}
        cwd = ""
        if not self._is_claimed():
            argv, env, cwd = await asyncio.to_thread(self._prepare)
        self._follow()
        return await self._context.supervision.start(self._run, argv, env, cwd)

    async def wait(self) -> Exit:
        """How it ended."""
        return await self._context.supervision.wait(self._run)

    async def stop(self, grace: float) -> None:
        """Ends it. If it never started, it never will, even if a service that was killed had just asked for it."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self._folder / "claim", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            self._follow()
            await self._context.supervision.start(self._run, [], {}, "")
            await self._context.supervision.stop(self._run, grace)
        except OSError:
            pass  # on a full disk nothing can be claimed, so nothing was started and nothing will be

    async def drain(self) -> None:
        """Reads its output to the end."""
        for tail in self._tails:
            while True:
                try:
                    tail.read(final=True)
                    break
                except StorageError:
                    await asyncio.sleep(_RETRY_SECONDS)
            self._context.tails.remove(tail)
        self._tails = []
        self._context.supervision.forget(self._run)

    def _is_claimed(self) -> bool:
        return (self._folder / "claim").exists()

    def _follow(self) -> None:
        if self._tails:
            return
        for output in ("stdout", "stderr"):
            run = self._run.partition("/")[2]
            stream = Stream(self._context.store, self._attempt.job_id, self._name, run, output)
            self._tails.append(FileTail(self._folder / output, stream))
            self._context.tails.add(self._tails[-1])

    def _prepare(self) -> tuple[list[str], dict[str, str], str]:
        """Unpacks the image; gives the command line, the environment and the working directory."""
        pool = self._attempt.pool(self._name)
        image = self._context.images.find(pool.image)
        # A name of its own each time: a service that was killed may have asked for a start that is still to come.
        code = self._folder / f"code-{secrets.token_hex(4)}"
        with storage_errors(self._folder):
            for folder in ("home", "tmp"):
                (self._folder / folder).mkdir(parents=True, exist_ok=True)
            root = self._context.trees.unpack(image, code)
            link = self._folder / f"{code.name}.tree"
            link.symlink_to(root.shared)
            for uri in output_folders(self._attempt.spec):
                bucket_folder(self._context.buckets, uri)
        translate = Translator(root, self._context.buckets)
        variables = self._attempt.env(self._name)
        env = {
            "PATH": _PATH,
            "HOME": str(self._folder / "home"),
            "TMPDIR": str(self._folder / "tmp"),
            "LANG": "C.UTF-8",
            **translate.env(image.env),
            **{name: value if name in _DESCRIBED else translate.text(value) for name, value in variables.items()},
        }
        entrypoint, arguments = command_line(pool, image.entrypoint, image.arguments, variables)
        argv = translate.texts([*entrypoint, *arguments])
        if not argv:
            raise ImageError("the image says nothing to run", where=pool.image, next_step="Give the job a command")
        return argv, env, str(code)


def trees_in_use(runs: Path) -> set[Path]:
    """The trees of all replicas that were not cleaned away yet."""
    return {link.readlink() for link in runs.glob("*/*/*.tree") if link.is_symlink()}
