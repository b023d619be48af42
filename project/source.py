"""Where a project comes from: a folder of this machine, or a git repository's address."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from ..core.errors import ProjectError

_SCHEMES = {"https", "http", "ssh", "git", "file"}
_SCP = re.compile(r"[\w.-]+@[\w.-]+:(?!//)\S+")
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def is_git(project: str) -> bool:
    """Whether `project` is a repository's address, as `https://...`, `file:///...` or `git@host:path`.

    Raises:
        ProjectError: It is an address of another kind.
    """
    scheme, separator, _ = project.partition("://")
    if separator and scheme not in _SCHEMES:
        raise ProjectError(
            f"{scheme}:// is no address of a git repository",
            where=project,
            next_step="Give a folder, or an address that git clones, such as https://HOST/OWNER/NAME",
        )
    return bool(separator or _SCP.fullmatch(project))


def check_source(project: str, ref: str, subfolder: str, *, token: bool = False) -> None:
    """Refuses what no run can work with, before anything is fetched.

    Args:
        project: A folder or an address.
        ref: A branch, tag or commit; empty for none.
        subfolder: Inside the project; empty for none.
        token: Whether there is one for a private repository.

    Raises:
        ProjectError: A password in the address, a ref of a folder, a subfolder that leads out, a token not for HTTPS.
    """
    path = PurePosixPath(subfolder)
    if path.is_absolute() or ".." in path.parts:
        raise ProjectError("not a folder inside the project", where=f"subfolder {subfolder}", next_step="Correct it")
    if not is_git(project):
        if ref:
            raise ProjectError(
                "only a git repository has a branch, tag or commit",
                where=f"ref {ref}",
                next_step="Leave ref out, or give the repository's address as the project",
            )
        return
    if ref.startswith("-"):
        raise ProjectError("not a branch, tag or commit", where=f"ref {ref}", next_step="Correct it")
    if token and not project.startswith("https://"):
        raise ProjectError(
            "a token is only sent over https",
            where=project,
            next_step="Give the repository's https:// address, or leave the git token out",
        )
    if "://" in project and urlsplit(project).password:
        raise ProjectError(
            "the address holds a password, which Prefect would store with every run",
            where=str(urlsplit(project).hostname),
            next_step="Save it as a Secret block, and name that as the git token",
        )


def repository_name(address: str) -> str:
    """The repository's name: the address's last part without `.git`."""
    last = re.split(r"[/:]", address.rstrip("/"))[-1]
    return last.removesuffix(".git") or "repository"


def is_commit(ref: str) -> bool:
    """Whether `ref` is a whole commit id; a short one can't be fetched by itself."""
    return bool(_COMMIT.fullmatch(ref))
