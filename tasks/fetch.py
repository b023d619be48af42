"""Step 0, only for projects in a git repository: clones it."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from prefect import task
from prefect.blocks.system import Secret
from prefect.context import TaskRunContext
from prefect.runtime import flow_run

from ..core.errors import ProjectError
from ..core.home import Home
from ..core.security import safe_git
from ..project.git import revision
from ..project.source import repository_name
from .reporting.step_log import step_log
from .retry_policy import STEP
from .step_results import step_result

_NETWORK = re.compile(
    r"resolve host|timed? ?out|connect to|connection|early EOF|hung up|unexpected disconnect|HTTP 5\d\d|error: 5\d\d",
    re.IGNORECASE,
)
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
    """Clones the repository at `ref` into `folder`, with its submodules.

    The token is in git's environment while git runs, and nowhere afterwards: Prefect's own `GitRepository` would put it
    into a command line and into the clone's configuration, where the project's code could read it.

    Raises:
        ProjectError: As `fetch`.
    """
    secret = str(token.get()).strip() if token else ""
    shutil.rmtree(folder, ignore_errors=True)  # a killed attempt may have left an incomplete clone
    folder.mkdir(parents=True)
    git = partial(_git, folder, address, ref, secret)
    git("init", "--quiet")
    git("remote", "add", "--", "origin", address)  # addresses of submodules may be relative to it
    git("fetch", "--quiet", "--depth", "1", "--no-tags", "--no-recurse-submodules", "--", "origin", ref or "HEAD")
    git("checkout", "--quiet", "--detach", "FETCH_HEAD")
    if (folder / ".gitmodules").is_file():
        git("submodule", "--quiet", "update", "--init", "--recursive", "--depth", "1")


def _git(folder: Path, address: str, ref: str, token: str, *words: str) -> None:
    try:
        done = safe_git.fetch(folder, *words, address=address, token=token)
    except FileNotFoundError as error:
        raise ProjectError("git is not installed here", where=address, next_step="Install git") from error
    if done.returncode != 0:
        what = f"can't be cloned{f' at {ref}' if ref else ''}: {safe_git.last_line(done, token)}"
        raise ProjectError(
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
