"""Runs replicas as processes of this machine over unpacked layers, for images that contain no operating system."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from ....core.bucket_mount.mounted_command import can_mount, mounted_command
from ....core.errors import StorageError, storage_errors
from ....core.placeholders import expand
from ..replica.attempt import Attempt
from ..replica.bucket_folders import bucket_folder
from ..replica.context import Context
from ..replica.environment import LOCAL_GS, command_line, output_folders
from ..replica.image import host_of
from ..replica.job_spec import JobSpec, Pool
from ..replica.log_stream import LogStream, service_lines
from ..replica.runner import Exit, Replica, ReplicaRunner
from .interpreter import Interpreters
from .log_files import LogFile, LogFilePoller
from .package_environment import PackageEnvironments
from .path_mapping import PathMapper
from .programs import LinkedPrograms, job_path
from .rootfs import Rootfs, RootfsCache
from .supervisor_client import SupervisorClient
from .temporary_folder import forget_temporary, make_temporary

_UNMAPPED = frozenset(("CLUSTER_SPEC", "TF_CONFIG"))  # JSON that quotes the job as the client sent it
_POLL_SECONDS = 0.1
_RETRY_SECONDS = 1.0


class ProcessRuntime:
    """Runs replicas as processes; to be created and used in one event loop.

    Args:
        context: What all jobs share.
        rootfs_folder: The folder for unpacked images.
    """

    def __init__(self, context: Context, rootfs_folder: Path) -> None:
        self.context = context
        self.rootfs = RootfsCache(rootfs_folder, lambda: rootfs_in_use(context.runs))
        self.packages = PackageEnvironments(Interpreters(), context.buckets)
        self.programs = LinkedPrograms(rootfs_folder.with_name("programs"))
        self.supervisor = SupervisorClient(context.runs)
        self.log_files = LogFilePoller()
        self.mount_point = rootfs_folder.with_name("root")
        self._recordings: dict[Path, asyncio.Task[None]] = {}
        self._recording = asyncio.Lock()
        self._polling = asyncio.get_running_loop().create_task(self._poll())

    def addresses(self, spec: JobSpec) -> Mapping[str, str]:
        """A port of this machine for each replica; all of them were free at the time of the call."""
        names = [name for _, _, name in spec.replicas()]
        with ExitStack() as stack:
            # All ports stay bound until each replica has one, so that no two get the same.
            sockets = [stack.enter_context(socket.socket()) for _ in names]
            for each in sockets:
                each.bind(("127.0.0.1", 0))
            return {name: f"127.0.0.1:{each.getsockname()[1]}" for name, each in zip(names, sockets, strict=True)}

    async def check(self) -> None:
        """Processes need nothing but this machine."""

    async def runner(self, attempt: Attempt) -> ReplicaRunner:
        """The runner of an attempt."""
        return _ProcessRunner(self, attempt)

    async def close(self) -> None:
        """Stops reading output and closes the connection to the supervisor; processes go on."""
        self._polling.cancel()
        await self.supervisor.close()

    async def was_used(self, tree: Path, code: Path) -> None:
        """Keeps a job's code, and records what jobs' Pythons compiled in an unpacked image.

        The latter is done once for all jobs that ended before it begins.
        """
        await asyncio.to_thread(self.rootfs.keep_code, tree, code)
        waiting = self._recordings.get(tree)
        if waiting is None:
            waiting = self._recordings[tree] = asyncio.create_task(self._record(tree))
        await asyncio.shield(waiting)

    async def _record(self, tree: Path) -> None:
        async with self._recording:
            del self._recordings[tree]
            await asyncio.to_thread(self.rootfs.was_used, tree)

    async def _poll(self) -> None:
        while True:
            self.log_files.poll()
            await asyncio.sleep(_POLL_SECONDS)


class _ProcessRunner:
    def __init__(self, runtime: ProcessRuntime, attempt: Attempt) -> None:
        self._runtime = runtime
        self._attempt = attempt

    def replica(self, name: str, number: int) -> Replica:
        return _Process(self._runtime, self._attempt, name, number)

    async def clean(self) -> None:
        """Nothing: all files are in the job's folder, which is removed with the job."""


class _Process:
    def __init__(self, runtime: ProcessRuntime, attempt: Attempt, name: str, number: int) -> None:
        self._runtime = runtime
        self._context = runtime.context
        self._attempt = attempt
        self._name = name
        self._run = f"{attempt.job_id}/{attempt.number}-{name}.{number}"
        self._folder = self._context.runs / self._run
        self._log_files: list[LogFile] = []
        # The folder with the code and the link to the unpacked image; None if another service has made them.
        self._code: Path | None = None
        self._tree: Path | None = None

    async def start(self) -> bool:
        argv: list[str] = []
        env: dict[str, str] = {}
        cwd = ""
        is_new = not self._is_claimed()
        if is_new:
            argv, env, cwd = await self._prepared()
        self._read_output(is_new=is_new)
        return await self._runtime.supervisor.start(self._run, argv, env, cwd)

    async def wait(self) -> Exit:
        end = await self._runtime.supervisor.wait(self._run)
        folders = [self._code] if self._code else list(self._folder.glob("code-*"))
        if end.code == 0 and any((folder / "gs:").is_dir() for folder in folders):
            return replace(end, code=1, reason="Error", message=LOCAL_GS)
        return end

    async def stop(self, grace: float) -> None:
        """Stops the process. If it was never started, it can't be started any more.

        That also holds if a killed service has just sent the supervisor a request to start it.
        """
        if self._runtime.supervisor.has_ended(self._run):
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self._folder / "claim", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            self._read_output()
            await self._runtime.supervisor.start(self._run, [], {}, "")
            await self._runtime.supervisor.stop(self._run, grace)
        except OSError:
            pass  # a full disk: no run can be claimed, so the process was not started and can't be

    async def drain(self) -> None:
        for file in self._log_files:
            while True:
                try:
                    file.read(final=True)
                    break
                except StorageError:
                    await asyncio.sleep(_RETRY_SECONDS)
            self._runtime.log_files.remove(file)
        self._log_files = []
        forget_temporary(self._folder / "tmp")
        self._runtime.supervisor.forget(self._run)
        for link in [self._tree] if self._tree else list(self._folder.glob("*.tree")):
            with contextlib.suppress(OSError, StorageError):
                await self._runtime.was_used(link.readlink(), link.with_suffix(""))

    def _is_claimed(self) -> bool:
        return (self._folder / "claim").exists()

    def _read_output(self, *, is_new: bool = False) -> None:
        if self._log_files:
            return
        for output in ("stdout", "stderr"):
            run = self._run.partition("/")[2]
            stream = LogStream(
                self._context.store,
                self._attempt.job_id,
                self._name,
                run,
                output,
                is_new=is_new,
                plain=lambda: self._context.faults.plain_lines,
            )
            self._log_files.append(LogFile(self._folder / output, stream))
            self._runtime.log_files.add(self._log_files[-1])

    async def _prepared(self) -> tuple[list[str], dict[str, str], str]:
        host = host_of(self._attempt.pool(self._name).image)
        if host:
            return await self._context.threads.run(f"unpack {host}", self._prepare)
        # A layout is on this machine and can't hang: the event loop's threads, which are there already, serve it.
        return await asyncio.to_thread(self._prepare)

    def _prepare(self) -> tuple[list[str], dict[str, str], str]:
        """Unpacks the image, or installs the package; returns the command line, environment and working directory."""
        # A new name each time: the request of a killed service, with the earlier name, may still be under way.
        self._code = code = self._folder / f"code-{secrets.token_hex(4)}"
        with storage_errors(self._folder):
            (self._folder / "home").mkdir(parents=True, exist_ok=True)
            temporary = make_temporary(self._folder / "tmp")
            for uri in output_folders(self._attempt.spec):
                bucket_folder(self._context.buckets, uri)
            programs = self._runtime.programs.ready()
        mounted = can_mount()
        pool = self._attempt.pool(self._name)
        started = self._packaged(pool, code) if pool.package else self._unpacked(pool, code)
        mapper = PathMapper(started.rootfs, self._context.buckets, mounted=mounted)
        storage = self._context.storage.process_variables()
        variables = self._attempt.env(self._name, storage)
        unmapped = _UNMAPPED | storage.keys()
        env = {
            "HOME": str(self._folder / "home"),
            "TMPDIR": str(temporary),
            "LANG": "C.UTF-8",
            **mapper.env(started.environment),
            **{name: value if name in unmapped else mapper.text(value) for name, value in variables.items()},
        }
        own = (self._folder, self._context.buckets, started.rootfs.shared)
        env["PATH"] = job_path(env.get("PATH", ""), own, programs)
        command = started.command(variables)
        self._context.storage.make_buckets([*command, *variables.values()])
        argv = mapper.texts(command)
        if mounted and _is_program(argv[0], env["PATH"], code):
            # The same for all jobs: each mounts its root in a namespace of its own.
            self._runtime.mount_point.mkdir(exist_ok=True)
            argv = mounted_command(argv, self._context.buckets, self._runtime.mount_point)
        return argv, env, str(code)

    def _unpacked(self, pool: Pool, code: Path) -> _Started:
        image = self._context.images.known(pool.image)
        with storage_errors(self._folder):
            rootfs = self._runtime.rootfs.unpack(image, code)
            link = self._folder / f"{code.name}.tree"
            link.symlink_to(rootfs.shared)
            self._tree = link

        def command(variables: Mapping[str, str]) -> list[str]:
            entrypoint, arguments = command_line(pool, image.entrypoint, image.arguments, variables)
            return [*entrypoint, *arguments]

        return _Started(rootfs, image.env, command)

    def _packaged(self, pool: Pool, code: Path) -> _Started:
        assert pool.package is not None
        module = pool.package.module

        def say(text: str) -> None:
            service_lines(self._context.store, self._attempt.job_id, f"python-{self._run}", [text], "WARNING")

        with storage_errors(self._folder):
            code.mkdir(parents=True, exist_ok=True)
            python = self._runtime.packages.make(pool.package, pool.image, self._folder, say)

        def command(variables: Mapping[str, str]) -> list[str]:
            return [str(python), "-m", module, *(expand(argument, variables) for argument in pool.args)]

        return _Started(Rootfs(code, "", code), {"PATH": str(python.parent)}, command)


@dataclass(frozen=True, slots=True)
class _Started:
    """What a replica's program starts from.

    Attributes:
        rootfs: The unpacked image; of a package, the working directory.
        environment: Variables of the image, with its paths.
        command: Makes the command line, with values for variables in it; paths are not mapped yet.
    """

    rootfs: Rootfs
    environment: dict[str, str]
    command: Callable[[Mapping[str, str]], list[str]]


def _is_program(name: str, path: str, folder: Path) -> bool:
    """Whether a command line begins with a program; the error for others should name it, and nothing before it."""
    return shutil.which(str(folder / name) if "/" in name else name, path=path) is not None


def rootfs_in_use(runs: Path) -> set[Path]:
    """The unpacked images of all replicas whose folders still exist."""
    return {link.readlink() for link in runs.glob("*/*/*.tree") if link.is_symlink()}
