"""Step 0, only for projects in a git repository: clones it."""

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
from .step_results import step_result

_NETWORK = re.compile(
    r"resolve host|timed? ?out|connect to|connection|early EOF|hung up|unexpected disconnect|HTTP 5\d\d|error: 5\d\d",
    re.IGNORECASE,
)
_PROMPTS = "GIT_TERMINAL_PROMPT"
_USERINFO = re.compile(r"//[^/@\s]+@")
"""Where an access token stands in a URL in git's output."""

_STALE = 7 * 24 * 3600.0
"""Seconds after which the checkout of a killed run is removed."""


def _key(context: TaskRunContext, parameters: dict[str, Any]) -> str:  # noqa: ARG001 - Prefect's signature
    return f"fetch-{flow_run.id}"


@task(name="fetch", cache_key_fn=_key, result_serializer=step_result("str"), **STEP)
def fetch(address: str, ref: str, token: Secret[str] | None, folder: Path) -> str:
    """Clones a branch, tag or commit into `folder`; returns the commit.

    Retries of a flow run use the commit of its first attempt; a new run uses the newest commit of the branch.

    Raises:
        ProjectError: There is no such repository or ref, or access was refused; transient if the host can't be reached.
    """
    pull(address, ref, token, folder)
    commit = revision(folder)
    step_log("fetch")(f"{address} is at {commit}{f' ({ref})' if ref else ''}")
    return commit


def pull(address: str, ref: str, token: Secret[str] | None, folder: Path) -> None:
    """Clones the repository at `ref` into `folder`, with Prefect's git support.

    Raises:
        ProjectError: As `fetch`.
    """
    from prefect.runner.storage import GitRepository

    shutil.rmtree(folder, ignore_errors=True)  # a killed attempt may have left an incomplete clone
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
        with _without_prompts():
            run_coro_as_sync(repository.pull_code())
            _pull_submodules(folder)
    except FileNotFoundError as error:
        raise ProjectError("git is not installed here", where=address, next_step="Install git") from error
    except (RuntimeError, subprocess.CalledProcessError) as error:
        raise _refused(address, ref, error) from None  # the cause's command may hold the token


@contextmanager
def _without_prompts() -> Iterator[None]:
    """Makes git fail instead of asking for a password at a terminal, which would block a scheduled run for ever.

    `GitRepository` gives git this process's environment, so that has to change while git runs.
    """
    before = os.environ.get(_PROMPTS)
    os.environ[_PROMPTS] = "0"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_PROMPTS, None)
        else:
            os.environ[_PROMPTS] = before


def _pull_submodules(folder: Path) -> None:
    if (folder / ".gitmodules").is_file():
        command = ["git", "-C", str(folder), "submodule", "update", "--init", "--recursive", "--depth", "1"]
        subprocess.run(command, check=True, capture_output=True)


def _refused(address: str, ref: str, error: Exception) -> ProjectError:
    """The error for a failed git command: git's last line, without the command and without the token."""
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
    """A folder for this flow run's clone, removed afterwards; no two runs share one.

    Its last part is the repository's name, which becomes the image's name.
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
