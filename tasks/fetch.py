"""Step 0 of a project that lies in a git repository: its files as they are on the branch now."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect import task
from prefect.blocks.system import Secret
from prefect.context import TaskRunContext
from prefect.runtime import flow_run
from prefect.utilities.asyncutils import run_coro_as_sync

from ..core.errors import ProjectError
from ..core.home import Home
from ..project.git import revision
from ..project.source import is_commit, repository_name
from .reporting.step_log import step_log
from .retry_policy import STEP

_NETWORK = re.compile(
    r"resolve host|timed? ?out|connect to|connection|early EOF|hung up|unexpected disconnect|HTTP 5\d\d|error: 5\d\d",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"//[^/@\s]+@")
"""Where a token would stand in an address that git repeats."""

_STALE = 7 * 24 * 3600.0
"""Seconds after which a checkout that a killed run left is removed."""


def _key(context: TaskRunContext, parameters: dict[str, Any]) -> str:  # noqa: ARG001 - Prefect's signature
    return f"fetch-{flow_run.id}"


@task(name="fetch", cache_key_fn=_key, **STEP)
def fetch(address: str, ref: str, token: Secret[str] | None, folder: Path) -> str:
    """Clones a branch, tag or commit into `folder`; returns the commit.

    The result belongs to the flow run: its retries train the same commit, a new run what is on the branch by then.

    Raises:
        ProjectError: No such repository or ref, or no access; transient if the host could not be reached.
    """
    pull(address, ref, token, folder)
    commit = revision(folder)
    step_log("fetch")(f"{address} is at {commit}{f' ({ref})' if ref else ''}")
    return commit


def pull(address: str, ref: str, token: Secret[str] | None, folder: Path) -> None:
    """Makes `folder` a work tree of the repository at `ref`, by Prefect's own git support.

    Raises:
        ProjectError: As `fetch`.
    """
    from prefect.runner.storage import GitRepository

    # A password that is asked for at a terminal would stop a scheduled run for ever.
    os.environ.setdefault("GIT_TERMINAL_PROMPT", "0")
    shutil.rmtree(folder, ignore_errors=True)  # what a killed attempt left may be half a clone
    folder.parent.mkdir(parents=True, exist_ok=True)
    repository = GitRepository(
        address,
        credentials={"access_token": token} if token else None,
        name=folder.name,
        branch=None if is_commit(ref) else ref or None,
        commit_sha=ref if is_commit(ref) else None,
    )
    repository.set_base_path(folder.parent)
    try:
        run_coro_as_sync(repository.pull_code())
        _pull_submodules(folder)
    except FileNotFoundError as error:
        raise ProjectError("git is not installed here", where=address, next_step="Install git") from error
    except (RuntimeError, subprocess.CalledProcessError) as error:
        raise _refused(address, ref, error) from None  # the cause's command may hold the token


def _pull_submodules(folder: Path) -> None:
    if (folder / ".gitmodules").is_file():
        command = ["git", "-C", str(folder), "submodule", "update", "--init", "--recursive", "--depth", "1"]
        subprocess.run(command, check=True, capture_output=True)


def _refused(address: str, ref: str, error: Exception) -> ProjectError:
    """What git said, in one line, without the command."""
    said = getattr(error, "stderr", None) or b""
    text = said.decode(errors="replace").strip().splitlines()[-1:] if said else [str(error)]
    text = [_USERINFO.sub("//", line) for line in text]
    what = f"can't be cloned{f' at {ref}' if ref else ''}: {text[0] if text else 'git failed'}"
    return ProjectError(
        what,
        where=address,
        next_step="Check the address, the ref (a commit needs all its 40 characters) and the git token",
        transient=bool(_NETWORK.search(what)),
    )


@contextmanager
def checkout_folder(address: str, home: Home) -> Iterator[Path]:
    """A folder of this flow run's own for a clone, removed afterwards: no other run pulls under its feet.

    It is called as the repository, for that names the image.
    """
    sources = home.cache / "sources"
    mine = sources / str(flow_run.id)
    try:
        yield mine / repository_name(address)
    finally:
        shutil.rmtree(mine, ignore_errors=True)
        for old in sources.glob("*"):
            if old.stat().st_mtime < time.time() - _STALE:
                shutil.rmtree(old, ignore_errors=True)
